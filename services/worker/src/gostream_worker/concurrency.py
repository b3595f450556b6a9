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


def _first(group_error: BaseExceptionGroup) -> BaseException:
    first = group_error.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
