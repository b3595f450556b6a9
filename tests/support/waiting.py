"""Waits for conditions, so that no test depends on machine speed."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic


async def eventually(condition: Callable[[], object | Awaitable[object]], *, timeout: float = 300) -> None:
    """Returns when `condition()` is true. Raises TimeoutError."""
    async with asyncio.timeout(timeout):
        while not await _holds(condition):
            await asyncio.sleep(0.01)


async def _holds(condition: Callable[[], object | Awaitable[object]]) -> object:
    result = condition()
    return await result if inspect.isawaitable(result) else result


@asynccontextmanager
async def longest_pause() -> AsyncIterator[Callable[[], float]]:
    """Yields a function: the longest time in seconds so far in which the event loop did not run a task."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            began = monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, monotonic() - began)

    ticking = asyncio.create_task(tick())
    try:
        yield lambda: longest
        await asyncio.sleep(0.02)
    finally:
        ticking.cancel()
