"""A seeded event loop with virtual time and a random order of ready callbacks.

asyncio runs callbacks in the order they are scheduled. Our code must not depend on it, so this loop does not
keep it. A seed always gives the same interleaving.
"""

import asyncio
import heapq
import random
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import Any, TypeVar

Result = TypeVar("Result")

#: The simulated process of a callback, so that one process can be frozen while the others run.
PROCESS: ContextVar[object] = ContextVar("process", default=None)

#: Limit of callbacks per history; the longest correct history needs a hundredth of it.
MAX_STEPS = 1_000_000
#: How often tasks left at the end are cancelled before the loop gives up.
_LAST_ORDERS = 20


class HungError(RuntimeError):
    """A history does not end."""


class _Handle:
    """The used part of asyncio.TimerHandle; hot: half of a history's run time is spent here."""

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
    """An event loop for tasks, futures, sleeps and timeouts, without sockets and threads."""

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
        """Returns the coroutine's result. Raises HungError if it does not complete."""
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
        """Ends all tasks; otherwise the garbage collector would close them during another history."""
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
        except BaseException as error:  # noqa: BLE001 - like asyncio's handles
            self.call_exception_handler({"message": "a callback failed", "exception": error})

    def freeze(self, process: object) -> None:
        """Stops the callbacks of that process, like SIGSTOP."""
        self._frozen.setdefault(process, [])

    def thaw(self, process: object) -> None:
        """Makes the callbacks that became due during the freeze ready."""
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
