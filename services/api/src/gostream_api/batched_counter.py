"""Batches counter increments, for events that are cheaper than an increment."""

import asyncio

from prometheus_client import Counter

#: Longest delay of an increment in seconds.
_DELAY = 0.2


class BatchedCounter:
    """Collects increments for a short time and applies them at once. Bound to one event loop."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._pending = 0

    def add(self, number: int = 1) -> None:
        if not self._pending:
            asyncio.get_running_loop().call_later(_DELAY, self.flush)
        self._pending += number

    def flush(self) -> None:
        """Apply the pending increments now."""
        self._counter.inc(self._pending)
        self._pending = 0
