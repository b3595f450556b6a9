"""Counting what is cheaper than being counted."""

import asyncio

from prometheus_client import Counter

#: Seconds that a count may be late.
_DELAY = 0.2


class BatchedCounter:
    """Adds up what comes within a moment, and tells the counter once. Belongs to one event loop."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._pending = 0

    def add(self, number: int = 1) -> None:
        if not self._pending:
            asyncio.get_running_loop().call_later(_DELAY, self.flush)
        self._pending += number

    def flush(self) -> None:
        """Tell it now."""
        self._counter.inc(self._pending)
        self._pending = 0
