"""Structured concurrency with typed errors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """A TaskGroup that raises its first error as itself: our errors are typed, and one of them decides."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as group_error:
        raise _first(group_error) from None


async def wait_at_most(event: asyncio.Event, timeout: float) -> None:
    """Until the event is set, but at most so many seconds."""
    try:
        async with asyncio.timeout(timeout):
            await event.wait()
    except TimeoutError:
        pass


def _first(group_error: BaseExceptionGroup) -> BaseException:
    first = group_error.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
