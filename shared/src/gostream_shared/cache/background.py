"""Tasks beside the requests, ended with the block that began them."""

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
