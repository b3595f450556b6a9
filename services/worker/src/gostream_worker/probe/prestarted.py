"""Starts the next attempt's probe in advance, because its start takes longer than most probes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

import structlog

from gostream_worker.probe.probe import StartedProbe, starting_probe

_log = structlog.stdlib.get_logger("gostream.probe")


class PrestartedProbe:
    """Keeps one waiting child for the next attempt. Each child probes only one source."""

    def __init__(self, *, sandbox_required: bool) -> None:
        self._sandbox_required = sandbox_required
        self._preparing = asyncio.Lock()  # attempts may end at the same time
        self._waiting: tuple[AsyncExitStack, StartedProbe] | None = None

    @classmethod
    @asynccontextmanager
    async def kept(cls, *, sandbox_required: bool = False) -> AsyncIterator[Self]:
        """Keeps a child ready while the block runs, and ends it afterwards."""
        prestarted = cls(sandbox_required=sandbox_required)
        await prestarted._prepare()
        try:
            yield prestarted
        finally:
            if prestarted._waiting:
                await prestarted._waiting[0].aclose()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[StartedProbe]:
        """Yields the waiting child, or a new one. After a block without error, starts the next one."""
        stack, probe = await self._next()
        async with stack:
            yield probe
        await self._prepare()

    async def _next(self) -> tuple[AsyncExitStack, StartedProbe]:
        waiting, self._waiting = self._waiting, None
        if waiting and not waiting[1].is_over:
            return waiting
        if waiting:
            await waiting[0].aclose()
        return await self._start()

    async def _prepare(self) -> None:
        async with self._preparing:
            if self._waiting:
                return
            try:
                self._waiting = await self._start()
            except OSError as error:  # the next attempt tries again; the current one is finished
                _log.warning("no prestarted probe", error=str(error))

    async def _start(self) -> tuple[AsyncExitStack, StartedProbe]:
        stack = AsyncExitStack()
        starting = starting_probe(sandbox_required=self._sandbox_required)
        return stack, await stack.enter_async_context(starting)
