"""Single flight: concurrent callers with the same key share one load."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Generic, TypeVar

from gostream_shared.cache.metrics import FLIGHTS
from gostream_shared.domain.errors import BackendUnavailableError

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_LED, _JOINED, _CANCELLED = (FLIGHTS.labels(role) for role in ("leader", "joined", "cancelled"))


@dataclass(slots=True, eq=False)
class _Flight(Generic[Value]):
    task: asyncio.Task[Value]
    number: int
    started: float
    waiting: int = 0


class SingleFlight(Generic[Key, Value]):
    """Shares loads by key. Callers share the value, so it must be immutable.

    Each load is a separate task, so a cancelled caller does not affect the others. The load is cancelled when
    its last caller leaves. There is one entry per running load, and every load has a caller.

    Callers do not join a load that started more than `max_age` seconds ago. The load's timeout does not bound
    the age of its value: if the process was frozen, the reply may have waited in a socket for as long.
    """

    def __init__(self, *, max_age: float = math.inf, clock: Callable[[], float] = monotonic) -> None:
        self._max_age = max_age
        self._clock = clock
        self._flights: dict[Key, _Flight[Value]] = {}
        self._number = 0

    @property
    def mark(self) -> int:
        """The number of the latest load; see `run_since`."""
        return self._number

    async def run(self, key: Key, load: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """Join the running load or start one, and return its value.

        Raises a copy of the load's error for each caller, or BackendUnavailableError if it was cancelled.
        """
        return await self._wait(key, self._join_or_start(key, load))

    async def run_since(
        self,
        mark: int,
        key: Key,
        load: Callable[[], Coroutine[Any, Any, Value]],
        is_enough: Callable[[Value], bool],
    ) -> Value:
        """Like `run`, but loads again if a load from before the mark returns a value that is not enough.

        Callers not satisfied by the older load share the next one. Loads of one key never overlap.
        """
        flight = self._join_or_start(key, load)
        value = await self._wait(key, flight)
        if flight.number > mark or is_enough(value):
            return value
        return await self._wait(key, self._join_or_start(key, load, after=mark))

    def forget(self, key: Key) -> None:
        """Let no further caller join the running load. Its current callers still get its value."""
        self._flights.pop(key, None)

    def forget_all(self) -> None:
        self._flights.clear()

    def _join_or_start(
        self, key: Key, load: Callable[[], Coroutine[Any, Any, Value]], *, after: int = 0
    ) -> _Flight[Value]:
        """Returns the running load if its number is above `after`, or starts a new one."""
        flight = self._flights.get(key)
        if flight is not None and flight.number > after and self._is_joinable(flight):
            _JOINED.inc()
            return flight
        _LED.inc()
        return self._begin(key, load)

    async def _wait(self, key: Key, flight: _Flight[Value]) -> Value:
        flight.waiting += 1
        try:
            await asyncio.wait((flight.task,))  # does not cancel the task if this caller is cancelled
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                _CANCELLED.inc()
                flight.task.cancel()
                self._remove(key, flight)
        return _outcome(flight.task)

    def _is_joinable(self, flight: _Flight[Value]) -> bool:
        return not flight.task.done() and self._clock() - flight.started <= self._max_age

    def _begin(self, key: Key, load: Callable[[], Coroutine[Any, Any, Value]]) -> _Flight[Value]:
        self._number += 1
        task = asyncio.create_task(load(), name=f"flight {key}")
        flight = _Flight(task, self._number, self._clock())
        flight.task.add_done_callback(lambda _: self._remove(key, flight))
        self._flights[key] = flight
        return flight

    def _remove(self, key: Key, flight: _Flight[Value]) -> None:
        """Remove this flight, but not a newer flight of the same key."""
        if self._flights.get(key) is flight:
            del self._flights[key]
        if flight.task.done() and not flight.task.cancelled():
            flight.task.exception()  # marks the error as retrieved, even if every caller has left


def _outcome(task: asyncio.Task[Value]) -> Value:
    if task.cancelled():
        raise BackendUnavailableError("database")
    error = task.exception()
    if error is not None:
        raise _copy(error) from error
    return task.result()


def _copy(error: BaseException) -> BaseException:
    """Returns an equal error with a separate traceback, without calling an unknown constructor."""
    clone = type(error).__new__(type(error), *error.args)
    clone.__dict__.update(error.__dict__)
    return clone
