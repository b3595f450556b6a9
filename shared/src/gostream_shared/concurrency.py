"""Structured concurrency: typed errors, bounded waits, background tasks, long loops."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Seconds between two cancellations of a task that has not ended.
_PATIENCE = 1.0
#: Items that `map_in_slices` converts without a pause: less than a millisecond for rows and replies.
_SLICE = 50


@asynccontextmanager
async def in_background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `work` in background tasks until the block ends. Their errors are not raised here.

    A cancellation can be lost: a TaskGroup before Python 3.13 drops it if a child fails at the same time, and
    a driver may drop it while it closes a new connection. So tasks are cancelled until they end.
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
    """A TaskGroup that raises its first error instead of an exception group, so that callers catch it."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as group_error:
        raise _first(group_error) from None


async def wait_at_most(event: asyncio.Event, timeout: float) -> None:
    """Wait until the event is set, at most `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            await event.wait()
    except TimeoutError:
        pass


async def map_in_slices(convert: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Returns the converted items in order. Other tasks run after every 50 of them."""
    results: list[Result] = []
    for start in range(0, len(items), _SLICE):
        if start:
            await asyncio.sleep(0)
        results += map(convert, items[start : start + _SLICE])
    return results


def _first(group_error: BaseExceptionGroup) -> BaseException:
    first = group_error.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
