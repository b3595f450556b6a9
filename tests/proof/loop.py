"""A seeded event loop: virtual time, and a random choice among whatever could run next.

asyncio promises to run callbacks in the order they were scheduled; nothing of ours may depend on it, so this
loop does not. One seed is one interleaving, and always the same one.
"""

import asyncio
import heapq
import random
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import Any, TypeVar

Result = TypeVar("Result")

#: The process that a callback belongs to, so that one can be stopped while the others go on.
PROCESS: ContextVar[object] = ContextVar("process", default=None)

#: Callbacks that a history may run; the longest of the honest ones needs a hundredth of that.
MAX_STEPS = 1_000_000
#: How often what is left at the end is asked to go.
_LAST_ORDERS = 20


class HungError(RuntimeError):
    """A history that does not end."""


class _Handle:
    """As much of asyncio.TimerHandle as its users look at; half of a history's time goes by here."""

    __slots__ = ("_args", "_callback", "_context", "_when", "is_cancelled")

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None, when: float
    ) -> None:
        self._callback = callback
        self._args = args
        self._context = context if context is not None else copy_context()
        self._when = when
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled

    def when(self) -> float:
        return self._when

    @property
    def process(self) -> object:
        return self._context.get(PROCESS)

    def run(self) -> None:
        self._context.run(self._callback, *self._args)


class SeededLoop(asyncio.AbstractEventLoop):
    """As much of an event loop as tasks, futures, sleeps and timeouts need: no sockets, no threads."""

    def __init__(self, seed: int, *, max_steps: int = MAX_STEPS) -> None:
        self._choose = random.Random(seed).random
        self._now = 0.0
        self._ready: list[_Handle] = []
        self._timers: list[tuple[float, int, _Handle]] = []
        self._ties = count()
        self._frozen: dict[object, list[_Handle]] = {}
        self._steps = 0
        self._max_steps = max_steps
        self.failures: list[dict[str, Any]] = []

    def run_until_complete(self, main: Coroutine[Any, Any, Result]) -> Result:  # type: ignore[override]
        """Raises HungError when it does not complete."""
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
        self._steps = 0
        for process in list(self._frozen):
            self.thaw(process)
        for _ in range(_LAST_ORDERS):
            left = [task for task in asyncio.all_tasks(self) if not task.done()]
            if not left:
                return
            for task in left:
                task.cancel()
            while self._ready:
                self._step()
        raise HungError(f"hung: nothing ends {left}")

    def _step(self) -> None:
        self._steps += 1
        if self._steps > self._max_steps:
            raise HungError(f"hung: still running after {self._max_steps} callbacks, at {self._now:.3f} s")
        ready, timers = self._ready, self._timers
        if not ready:
            if not timers:
                raise HungError(f"hung: nothing will ever happen again, at {self._now:.3f} s")
            self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            ready.append(heapq.heappop(timers)[2])
        chosen = int(self._choose() * len(ready))
        handle, ready[chosen] = ready[chosen], ready[-1]
        ready.pop()
        if handle.is_cancelled:
            return
        if self._frozen and (process := handle.process) in self._frozen:
            self._frozen[process].append(handle)
        else:
            self._run(handle)

    def _run(self, handle: _Handle) -> None:
        try:
            handle.run()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - as asyncio's own handles do
            self.call_exception_handler({"message": "a callback failed", "exception": error})

    def freeze(self, process: object) -> None:
        """Run nothing of that process, as after SIGSTOP."""
        self._frozen.setdefault(process, [])

    def thaw(self, process: object) -> None:
        """All that it would have done meanwhile may run now."""
        self._ready += self._frozen.pop(process, [])

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Handle:
        handle = _Handle(callback, args, context, self._now)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Handle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Handle:
        handle = _Handle(callback, args, context, when)
        heapq.heappush(self._timers, (when, next(self._ties), handle))
        return handle

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
