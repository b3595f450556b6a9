"""A seeded event loop: virtual time, and a random choice among whatever could run next.

asyncio promises to run callbacks in the order they were scheduled; nothing of ours may depend on it, so this
loop does not. One seed is one interleaving, and always the same one.
"""

import asyncio
import heapq
import random
from collections.abc import Callable, Coroutine
from contextvars import Context
from itertools import count
from typing import Any, TypeVar

Result = TypeVar("Result")


class SeededLoop(asyncio.AbstractEventLoop):
    """As much of an event loop as tasks, futures, sleeps and timeouts need: no sockets, no threads."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._now = 0.0
        self._ready: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._ties = count()
        self.failures: list[dict[str, Any]] = []

    def run_until_complete(self, main: Coroutine[Any, Any, Result]) -> Result:  # type: ignore[override]
        asyncio._set_running_loop(self)
        try:
            task = self.create_task(main)
            while not task.done():
                self._step()
            return task.result()
        finally:
            self._end_all()
            asyncio._set_running_loop(None)

    def _end_all(self) -> None:
        """Leave no task behind that the garbage collector would end in the middle of another history."""
        while left := [task for task in asyncio.all_tasks(self) if not task.done()]:
            for task in left:
                task.cancel()
            while self._ready:
                self._step()

    def _step(self) -> None:
        if not self._ready:
            if not self._timers:
                raise RuntimeError("nothing will ever happen again")
            self._now = max(self._now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._now:
            self._ready.append(heapq.heappop(self._timers)[2])
        last, chosen = self._ready[-1], self._random.randrange(len(self._ready))
        handle, self._ready[chosen] = self._ready[chosen], last
        self._ready.pop()
        if not handle.cancelled():
            handle._run()

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._ties), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are skipped when their time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Result], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Result]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.failures.append(context)
