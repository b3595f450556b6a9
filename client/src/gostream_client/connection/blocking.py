"""Runs asynchronous work for the blocking client."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_blocking(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Runs `work` in a new event loop and returns its result.

    If this thread already runs a loop, as in a notebook, the new loop runs in another thread.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


def in_thread(ask: Callable[[Any], Any]) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    """Returns an asynchronous form of a blocking function."""

    async def asked(argument: Any) -> Any:
        return await asyncio.to_thread(ask, argument)

    return asked
