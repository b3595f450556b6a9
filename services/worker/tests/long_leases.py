"""For what a machine that stands still may spoil: a lease runs out although its worker is alive."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg

Shown = TypeVar("Shown")
_ATTEMPTS = 5


@asynccontextmanager
async def stalls(pool: asyncpg.Pool) -> AsyncIterator[list[float]]:
    """How many seconds each step of the block's time took, which should take next to none: longer steps mean
    that this process or its database stood still."""
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
    """Assert what the attempt shows. Something else counts unless there was so long a stall meanwhile."""
    for _ in range(_ATTEMPTS):
        async with stalls(pool) as seen:
            shown = await attempt()
        if shown == expected or max(seen) < stall:
            break
    assert shown == expected, f"the longest stall took {max(seen):.2f} s"
