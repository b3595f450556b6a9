"""Structured concurrency: typed errors, bounded waits, background tasks."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

#: Seconds between two requests to end.
_PATIENCE = 1.0


@asynccontextmanager
async def in_background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `work` until the block ends; its errors are its own.

    One cancellation can be lost: a TaskGroup before Python 3.13 drops it when a child fails meanwhile, and so
    may a driver that cleans up a connection it was making. So it is repeated until the task has ended.
    """
    tasks = {asyncio.create_task(each) for each in work}
    try:
        yield
    finally:
        while tasks:
            for task in tasks:
                task.cancel()
            _, tasks = await asyncio.wait(tasks, timeout=_PATIENCE)


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
