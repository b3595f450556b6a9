"""Delivers bus messages to the watchers of each video."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from uuid import UUID

from gostream_shared.cache.ports import Update
from gostream_shared.domain.encode import Encode, Progress


class _Watch:
    """Implements gostream_shared.cache.ports.Subscription. Keeps the latest state instead of a queue."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._version: int | None = None
        self._progress: tuple[Encode, Progress] | None = None
        self._gap = False

    async def wait(self, timeout: float) -> Update:
        try:
            async with asyncio.timeout(timeout):
                await self._news.wait()
        except TimeoutError:
            return Update()
        update = Update(version=self._version, progress=self._progress, gap=self._gap)
        self._version, self._progress, self._gap = None, None, False
        self._news.clear()
        return update

    def changed(self, version: int) -> None:
        self._version = max(version, self._version or 0)
        self._news.set()

    def progressed(self, encode: Encode, progress: Progress) -> None:
        self._progress = (encode, progress)
        self._news.set()

    def missed(self) -> None:
        self._gap = True
        self._news.set()


async def _nothing(_: UUID) -> None: ...


class Watchers:
    """Implements VideoEvents as a BusListener.

    `begin` is called for the first watch of a video, `end` after its last one.
    """

    def __init__(
        self,
        begin: Callable[[UUID], Awaitable[None]] = _nothing,
        end: Callable[[UUID], Awaitable[None]] = _nothing,
    ) -> None:
        self._watches: defaultdict[UUID, set[_Watch]] = defaultdict(set)
        self._begin = begin
        self._end = end

    @property
    def watched(self) -> Collection[UUID]:
        """The videos with a watch."""
        return self._watches.keys()

    @asynccontextmanager
    async def subscribe(self, video_id: UUID) -> AsyncIterator[_Watch]:
        watch = _Watch()
        self._watches[video_id].add(watch)
        try:
            if len(self._watches[video_id]) == 1:
                await self._begin(video_id)
            yield watch
        finally:
            self._watches[video_id].discard(watch)
            if not self._watches[video_id]:
                del self._watches[video_id]
                await self._end(video_id)
                if video_id in self._watches:  # watched again in the meantime
                    await self._begin(video_id)

    def changed(self, video_id: UUID, version: int) -> None:
        for watch in self._watches.get(video_id, ()):
            watch.changed(version)

    def progressed(self, encode: Encode, progress: Progress) -> None:
        for watch in self._watches.get(encode.video_id, ()):
            watch.progressed(encode, progress)

    def reset(self) -> None:
        for watches in self._watches.values():
            for watch in watches:
                watch.missed()
