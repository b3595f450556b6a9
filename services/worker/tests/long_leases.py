"""Retries tests whose leases expire because the machine stalls."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg

Shown = TypeVar("Shown")
_ATTEMPTS = 5


@asynccontextmanager
async def stalls(pool: asyncpg.Pool) -> AsyncIterator[list[float]]:
    """Yields the seconds of each short step of the block. A long step means that this process or its
    database stalled.
    """
    loop = asyncio.get_running_loop()
    began, seen = loop.time(), list[float]()

    async def tick() -> None:
        nonlocal began
        while True:
            await asyncio.sleep(0.02)
            await pool.fetchval("SELECT 1")
            seen.append(loop.time() - began)
            began = loop.time()

    ticking = asyncio.ensure_future(tick())
    try:
        yield seen
    finally:
        seen.append(loop.time() - began)
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)


async def shows(
    pool: asyncpg.Pool, attempt: Callable[[], Awaitable[Shown]], expected: Shown, *, stall: float
) -> None:
    """Asserts the attempt's result. Repeats the attempt if a stall of `stall` seconds may have changed it."""
    for _ in range(_ATTEMPTS):
        async with stalls(pool) as seen:
            shown = await attempt()
        if shown == expected or max(seen) < stall:
            break
    assert shown == expected, f"the longest stall took {max(seen):.2f} s"
