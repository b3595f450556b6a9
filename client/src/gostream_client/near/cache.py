"""The near cache of AsyncClient: its reads, its writes, and the stream that keeps it right."""

import asyncio
import logging
import math
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from time import monotonic, time
from typing import Any

from gostream.v1.event_pb2 import Event
from gostream.v1.video_pb2 import Video
from gostream_client import table
from gostream_client.errors import GoStreamError
from gostream_client.events.calls import watch_events
from gostream_client.near.entries import SILENCE, Entries, Fill
from gostream_client.table import Call, Kind
from gostream_client.watch import TERMINAL, EventWatch

_log = logging.getLogger("gostream_client.near")

#: Seconds until a new stream after one that was refused: at first, and at most.
_PAUSE, _LONGEST_PAUSE = 1.0, 60.0

#: Seconds that events may arrive later than the quickest one of their stream.
LATE = 2.0
#: Hits after which other tasks run, so that a loop of hits does not hold up the stream.
_HITS_AT_ONCE = 32

#: Asks the server: see AsyncClient._ask.
Ask = Callable[[Call[Any]], Awaitable[Any]]
#: Yields the messages of one watch: see AsyncClient._watch.
Follow = Callable[[EventWatch, Callable[[], Call[Any]], float], AsyncGenerator[Event, None]]


@dataclass(frozen=True, slots=True)
class NearCounts:
    """What a near cache has done. `drops`: entries dropped after changes and with a lost stream."""

    hits: int
    misses: int
    drops: int
    entries: int
    #: Whether reads are stored now.
    is_live: bool


class NearCache:
    """Videos by id. Every process has its own."""

    def __init__(self, size: int, server: str) -> None:
        self._entries = Entries(size)
        self._server = server
        self._flights: dict[str, tuple[Fill, asyncio.Task[Video]]] = {}
        self._hits = 0
        self._least_age = math.inf
        self._misses = 0

    def counts(self) -> NearCounts:
        entries = self._entries
        return NearCounts(
            self._hits, self._misses, entries.drops, len(entries), entries.is_filled(monotonic())
        )

    async def get(self, call: Call[Video], ask: Ask) -> Video:
        """Returns a copy of the entry, or asks the server. One question answers all concurrent callers."""
        request = call.request
        found = self._entries.get(request.id, monotonic(), min_version=request.min_version)
        if found is not None:
            self._hits += 1
            if self._hits % _HITS_AT_ONCE == 0:
                await asyncio.sleep(0)
            return Video.FromString(found)
        self._misses += 1
        if request.min_version or call.timeout is not None:
            return await self._read(call, ask, self._entries.begin(request.id, monotonic()))
        known = self._flights.get(request.id)
        if known is None or not self._entries.is_current(known[0]):
            fill = self._entries.begin(request.id, monotonic())
            known = fill, asyncio.create_task(self._read(call, ask, fill))
            self._flights[request.id] = known
            known[1].add_done_callback(lambda task: self._land(fill, task))
        video = Video()
        video.CopyFrom(await asyncio.shield(known[1]))
        return video

    async def write(self, call: Call[Any], ask: Ask) -> Any:
        """Drops the entry of the video that a call writes, before the call and after it."""
        video_id = _written(call)
        if not video_id:
            return await ask(call)
        self._entries.change(video_id, 0, monotonic())
        try:
            answer = await ask(call)
        except BaseException:
            self._entries.change(video_id, 0, monotonic())  # it may have succeeded
            raise
        version = answer.version if isinstance(answer, Video) else 0
        self._entries.change(video_id, version, monotonic())
        return answer

    async def follow(self, open_watch: Follow) -> None:
        """Keeps the entries right, without an end."""
        pause = _PAUSE
        while True:
            try:
                async with aclosing(_messages(self._server, open_watch)) as messages:
                    self._entries.start(await self._first(messages))
                    pause = _PAUSE
                    self._least_age = math.inf
                    async for event in messages:
                        self._note(event)
                        if self._is_late(event):
                            _log.warning("videos are not cached for some seconds: events arrive late")
                            break
            except GoStreamError as error:
                _log.warning("videos are not cached for %.0f s: %s", pause, error)
            finally:
                self._entries.stop()
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 – jitter
            pause = min(2 * pause, _LONGEST_PAUSE)

    def close(self) -> None:
        """Ends the reads that run."""
        for _, task in list(self._flights.values()):
            task.cancel()

    async def _first(self, messages: AsyncGenerator[Event, None]) -> float:
        await anext(messages)
        return monotonic()

    def _note(self, event: Event) -> None:
        now = monotonic()
        self._entries.heard(now)
        if event.id:
            self._entries.change(event.video_id, event.version, now)

    def _is_late(self, event: Event) -> bool:
        """Returns whether this process, or the server, falls behind; a new stream begins with what is new.

        Compares ages alone, as the clocks of both may differ.
        """
        if not event.id:
            return False
        age = time() - event.create_time.ToNanoseconds() / 1e9
        self._least_age = min(self._least_age, age)
        return age - self._least_age > LATE

    async def _read(self, call: Call[Video], ask: Ask, fill: Fill) -> Video:
        video: Video = await ask(call)
        # Other states change without an event for each version. Events have the canonical form of the id.
        if video.status in TERMINAL and video.id == fill.video_id:
            self._entries.store(fill, video.version, video.SerializeToString(), monotonic())
        return video

    def _land(self, fill: Fill, task: asyncio.Task[Video]) -> None:
        if not task.cancelled():
            task.exception()  # seen, even if no one waits any more
        known = self._flights.get(fill.video_id)
        if known is not None and known[0] is fill:
            del self._flights[fill.video_id]


class _NearWatch(EventWatch):
    """Yields the messages that only break the silence too."""

    def is_news(self, event: Event) -> bool:
        super().is_news(event)
        return True


def _messages(server: str, open_watch: Follow) -> AsyncGenerator[Event, None]:
    watch = _NearWatch(server, watch_events(), backoff=0.25)
    return open_watch(watch, watch.call, SILENCE)


def is_read(call: Call[Any]) -> bool:
    """Returns whether a call may be answered from the cache: get_video, but not get_video_reply."""
    return call.method is table.GET_VIDEO and call.result is table.as_is


def _written(call: Call[Any]) -> str:
    """Returns the id of the video that a call writes; empty if it writes none."""
    if call.method.kind in (Kind.READ, Kind.STREAM):
        return ""
    request = call.request
    fields = request.DESCRIPTOR.fields_by_name
    if "video" in fields:
        return str(request.video.id)
    return str(request.video_id if "video_id" in fields else request.id if "id" in fields else "")
