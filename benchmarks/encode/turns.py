"""Runs programs alternately: one runs for a few seconds while the others are stopped.

On a shared machine the time of an encode varies by 10 % from one minute to the next. Short alternating turns
spread that variation evenly. The time of a program is the sum of its turns.
"""

import asyncio
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

#: Seconds between attempts to stop a contender that has no process yet.
_AGAIN = 0.02


class Contender:
    """Work that one process mainly does. `process` returns its pid, or None if there is none now.

    `cpu`, if given, returns one or several CPU times in seconds; `used` sums their increase during the turns.
    """

    def __init__(
        self,
        work: Callable[[], Coroutine[Any, Any, None]],
        process: Callable[[], int | None],
        cpu: Callable[[], Sequence[float]] = tuple,
    ) -> None:
        self._work = work
        self._process = process
        self._cpu = cpu
        self._task: asyncio.Task[None] | None = None
        self._stopped: int | None = None
        self._wall = 0.0
        self._used = [0.0 for _ in cpu()]
        self._began: tuple[float, Sequence[float]] | None = None

    def clock(self) -> float:
        """Seconds of this contender's turns so far."""
        return self._wall + (time.monotonic() - self._began[0] if self._began else 0.0)

    @property
    def used(self) -> Sequence[float]:
        """CPU seconds during this contender's turns."""
        return self._used

    async def take_turn(self, tasks: asyncio.TaskGroup, seconds: float) -> bool:
        """Runs for at least `seconds`. Returns whether work is left."""
        self._began = time.monotonic(), self._cpu()
        if self._task is None:
            self._task = tasks.create_task(self._work())
        if self._stopped is not None:
            with suppress(ProcessLookupError):
                os.kill(self._stopped, signal.SIGCONT)
        await asyncio.wait([self._task], timeout=seconds)
        while not self._task.done() and not self._stop():
            await asyncio.wait([self._task], timeout=_AGAIN)
        self._end_turn()
        return not self._task.done()

    def _stop(self) -> bool:
        pid = self._process()
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            return False
        self._stopped = pid
        return True

    def _end_turn(self) -> None:
        if self._began:
            wall, used = self._began
            self._wall += time.monotonic() - wall
            self._used = [
                total + now - before for total, now, before in zip(self._used, self._cpu(), used, strict=True)
            ]
            self._began = None


async def take_turns(contenders: Sequence[Contender], *, seconds: float) -> None:
    """Runs the contenders alternately until all finish."""
    async with asyncio.TaskGroup() as tasks:
        waiting = deque(contenders)
        while waiting:
            contender = waiting.popleft()
            if await contender.take_turn(tasks, seconds):
                waiting.append(contender)
