"""Waits that end when the server stops."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from gostream_shared.domain.errors import ServerStoppingError

T = TypeVar("T")


class Waits:
    """The waits of open streams. `stop` ends them, now and later."""

    def __init__(self) -> None:
        self._waits: set[asyncio.Timeout] = set()
        self._is_stopping = False

    def stop(self) -> None:
        self._is_stopping = True
        for wait in self._waits:
            wait.reschedule(0)

    async def until_stop(self, awaitable: Awaitable[T]) -> T:
        """Returns the result of `awaitable`. Raises ServerStoppingError once the server stops."""
        try:
            async with asyncio.timeout(0 if self._is_stopping else None) as wait:
                self._waits.add(wait)
                try:
                    return await awaitable
                finally:
                    self._waits.discard(wait)
        except TimeoutError:
            raise ServerStoppingError from None
