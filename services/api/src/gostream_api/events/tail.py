"""The newest events, read once for all streams of this process."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from operator import attrgetter

import structlog

from gostream_api.events.event_service import SeenEvent, with_videos
from gostream_shared.concurrency import wait_at_most
from gostream_shared.domain.companions.events import EventFilter, EventPosition, Events
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.repositories import VideoRepository

_log = structlog.stdlib.get_logger("gostream.events")

#: Events that are kept; a stream that is further behind reads the database.
_KEPT = 1000
_BATCH = 500
#: Seconds between two reads: at least, while committed events wait for an older transaction, and at most.
_SHORTEST, _UNSETTLED, _LONGEST = 0.01, 0.05, 1.0
_position = attrgetter("event.position")

#: Opens a listener that calls the function after each change.
OpenListener = Callable[[Callable[[], None]], AbstractAsyncContextManager[None]]


class EventTail:
    """Follows the log while anybody watches it."""

    def __init__(self, events: Events, videos: VideoRepository, listen: OpenListener) -> None:
        self._events = events
        self._videos = videos
        self._listen = listen
        self._watchers = 0
        self._is_wanted = asyncio.Event()
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        #: Every settled event between both positions is kept. None: nothing is known.
        self._kept: list[SeenEvent] = []
        self._first: EventPosition | None = None
        self._end: EventPosition | None = None

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Follow the log until the block ends."""
        self._watchers += 1
        self._is_wanted.set()
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers:
                self._is_wanted.clear()

    def after(self, position: EventPosition) -> tuple[Sequence[SeenEvent], EventPosition] | None:
        """Returns the kept events after a position, and the position after them.

        Returns None if the database must be asked.
        """
        if self._first is None or self._end is None or position < self._first:
            return None
        start = bisect_right(self._kept, position, key=_position)
        return self._kept[start:], max(position, self._end)

    async def change(self, *, at_most: float) -> None:
        """Wait until the tail has moved, at most `at_most` seconds."""
        await wait_at_most(self._changed, at_most)

    async def run(self) -> None:
        """Follow the log without end."""
        while True:
            await self._is_wanted.wait()
            try:
                async with self._listen(self._wake.set):
                    while self._watchers:
                        await self._turn()
            finally:  # also if this task fails: streams then read the database
                self._forget()

    async def _turn(self) -> None:
        self._wake.clear()
        pause = _LONGEST
        try:
            pause = await self._read()
        except BackendUnavailableError as error:
            _log.warning("events not read", error=str(error))
            self._forget()
            await asyncio.sleep(_LONGEST)
        if pause:
            await asyncio.sleep(_SHORTEST)
            await wait_at_most(self._wake, pause)

    async def _read(self) -> float:
        """Read the next events. Returns the longest pause until the next read."""
        if self._end is None:
            self._first = self._end = await self._events.end()
        page = await self._events.read(EventFilter(), after=self._end, limit=_BATCH)
        self._kept += await with_videos(self._videos, page.events)
        if len(self._kept) > _KEPT:
            self._first = self._kept[-_KEPT - 1].event.position
            self._kept = self._kept[-_KEPT:]
        self._end = page.end
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        if page.has_more:
            return 0.0
        return _UNSETTLED if page.is_unsettled else _LONGEST

    def _forget(self) -> None:
        self._kept, self._first, self._end = [], None, None
