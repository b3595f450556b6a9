"""Reads an entry from L2, or loads it from the database under a lease; see docs/explanation/caching.md."""

import asyncio
import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Protocol
from uuid import UUID

from gostream_api.reads.ports import Layer
from gostream_shared.cache.metrics import DB_LOADS, REQUESTS
from gostream_shared.cache.outbox.unannounced import Unannounced
from gostream_shared.cache.protocol import (
    NEWEST,
    CacheUnavailableError,
    Entry,
    Fill,
    Filled,
    Hit,
    Lease,
    Lookup,
    VideoCache,
    Wait,
)
from gostream_shared.domain.errors import BackendUnavailableError, VideoNotFoundError
from gostream_shared.domain.video import Video

#: Deadline of a load in seconds; shorter than the bound on staleness while the bus is disconnected.
LOAD_TIMEOUT = 2.0
#: Longest wait in seconds for loads of other processes. It is longer than the lease of a dead process plus
#: the load of its successor; otherwise all waiters would load at the same time as the successor.
WAIT_TIMEOUT = 4.0
_FIRST_POLL, _LAST_POLL = 0.005, 0.05
#: Weight of early reloads (XFetch's beta); 1 is optimal if all loads take equally long.
_EAGERNESS = 1.0


class VideoRows(Protocol):
    """The part of VideoRepository that reads use: committed rows of the primary database."""

    async def get(self, video_id: UUID) -> Video:
        """Returns the video. Raises VideoNotFoundError and BackendUnavailableError."""
        ...

    async def get_many(self, video_ids: Sequence[UUID]) -> dict[UUID, Video]:
        """Returns the existing videos by id. Raises BackendUnavailableError."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """The result of one read below L1, with the encoded reply.

    `shareable` = Redis has this entry, so L1 may store it too.
    """

    entry: Entry
    layer: Layer
    shareable: bool
    early: bool = False  # the entry should be reloaded in the background
    fresh_for: float = 0.0  # seconds for which Redis has it fresh, if known


class ReadThrough:
    """Reads from Redis and the database; stateless."""

    def __init__(
        self,
        cache: VideoCache,
        videos: VideoRows,
        *,
        unannounced: Unannounced,
        encode: Callable[[Video], bytes],
        clock: Callable[[], float] = monotonic,
        link: Callable[[UUID], Awaitable[None]] | None = None,
    ) -> None:
        """`link` is called before a load under a lease; see TraceMarks."""
        self._cache = cache
        self._videos = videos
        self._unannounced = unannounced
        self._encode = encode
        self._clock = clock
        self._link = link

    async def read(self, video_id: UUID, *, refresh: bool = False) -> Found:
        """Returns the current entry from Redis or the database. Raises BackendUnavailableError.

        With `refresh`, a fresh entry is also reloaded unless another caller holds the lease.
        """
        deadline = self._clock() + WAIT_TIMEOUT
        pause = _FIRST_POLL
        while True:
            lookup = await self._lookup(video_id, refresh=refresh)
            if isinstance(lookup, Hit):
                entry = self._with_reply(lookup.entry)
                early = self._is_early(lookup)
                return Found(entry, Layer.L2, shareable=True, early=early, fresh_for=lookup.fresh_for)
            if isinstance(lookup, Lease):
                return await self._load_under_lease(video_id, lookup)
            if lookup is None or self._clock() > deadline:
                return Found(await self._load(video_id), Layer.BYPASS, shareable=False)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads polls
            pause = min(2 * pause, _LAST_POLL)

    async def read_primary(self, video_id: UUID) -> Found:
        """Read the database regardless of Redis, and store the entry unless another caller holds the lease.

        Raises BackendUnavailableError.
        """
        lookup = await self._lookup(video_id, min_version=NEWEST)
        if isinstance(lookup, Lease):
            return await self._load_under_lease(video_id, lookup)
        return Found(await self._load(video_id), Layer.BYPASS, shareable=False)

    async def read_many(self, video_ids: Sequence[UUID]) -> dict[UUID, Found]:
        """Read many videos: one Redis round trip, one query for the misses, one round trip to store them.

        Returns only existing videos. Raises BackendUnavailableError.
        """
        lookups = await self._lookup_many(video_ids)
        found = {
            video_id: Found(
                self._with_reply(lookup.entry), Layer.L2, shareable=True, fresh_for=lookup.fresh_for
            )
            for video_id, lookup in lookups.items()
            if isinstance(lookup, Hit)
        }
        missing = [video_id for video_id in video_ids if video_id not in found]
        return found | await self._load_many(missing, lookups) if missing else found

    async def _lookup(self, video_id: UUID, *, min_version: int = 0, refresh: bool = False) -> Lookup | None:
        """Look up an entry. Returns None if Redis is unavailable."""
        try:
            least = max(min_version, self._unannounced.floor(video_id))
            lookup = await self._cache.get_or_lease(video_id, min_version=least, refresh=refresh)
            self._demand(lookup, self._unannounced.floor(video_id))
        except CacheUnavailableError:
            REQUESTS.labels("l2", "unavailable").inc()
            return None
        REQUESTS.labels("l2", _result(lookup)).inc()
        return lookup

    async def _lookup_many(self, video_ids: Sequence[UUID]) -> Mapping[UUID, Lookup]:
        try:
            least = [self._unannounced.floor(video_id) for video_id in video_ids]
            lookups = await self._cache.get_or_lease_many(video_ids, least)
            for video_id, lookup in lookups.items():
                self._demand(lookup, self._unannounced.floor(video_id))
        except CacheUnavailableError:
            REQUESTS.labels("l2", "unavailable").inc(len(video_ids))
            return {}
        for result, count in Counter(map(_result, lookups.values())).items():
            REQUESTS.labels("l2", result).inc(count)
        return lookups

    @staticmethod
    def _demand(lookup: Lookup, floor: int) -> None:
        """Raise CacheUnavailableError if the entry is below a floor that rose during the lookup."""
        entry = (
            lookup.entry if isinstance(lookup, Hit) else lookup.stale if isinstance(lookup, Lease) else None
        )
        if entry is not None and entry.version < floor:
            raise CacheUnavailableError("the entry in Redis is below the version floor")

    async def _load_under_lease(self, video_id: UUID, lease: Lease) -> Found:
        if self._link is not None:
            await self._link(video_id)
        started = self._clock()
        try:
            entry = await self._load(video_id)
        except BackendUnavailableError:
            if lease.stale is None:
                raise
            return Found(self._with_reply(lease.stale), Layer.STALE, shareable=False)
        fill = Fill(lease.token, entry, cost=self._clock() - started)
        try:
            filled = await self._cache.fill(video_id, fill)
        except CacheUnavailableError:
            return Found(entry, Layer.BYPASS, shareable=False)
        # The entry of a rejected fill is still a valid reply: the read overlapped the write.
        return Found(entry, Layer.MISS, shareable=filled is Filled.OK)

    async def _load(self, video_id: UUID) -> Entry:
        DB_LOADS.inc()
        try:
            async with asyncio.timeout(LOAD_TIMEOUT):
                video = await self._videos.get(video_id)
        except VideoNotFoundError as error:
            return Entry(error.version, None)
        except TimeoutError:
            raise BackendUnavailableError("database") from None
        return self._with_reply(Entry(video.version, video))

    def _with_reply(self, entry: Entry) -> Entry:
        """Returns the entry with its reply. An earlier release may have stored it without."""
        if entry.video is None or entry.reply is not None:
            return entry
        return Entry(entry.version, entry.video, self._encode(entry.video))

    async def _load_many(
        self, video_ids: Sequence[UUID], lookups: Mapping[UUID, Lookup]
    ) -> dict[UUID, Found]:
        DB_LOADS.inc()
        started = self._clock()
        try:
            async with asyncio.timeout(LOAD_TIMEOUT):
                videos = await self._videos.get_many(video_ids)
        except TimeoutError:
            raise BackendUnavailableError("database") from None
        cost = self._clock() - started
        entries = {
            video_id: self._with_reply(Entry(video.version, video)) for video_id, video in videos.items()
        }
        fills = {
            video_id: Fill(lookup.token, entries[video_id], cost=cost)
            for video_id, lookup in lookups.items()
            if isinstance(lookup, Lease) and video_id in entries
        }
        filled = await self._fill_many(fills)
        return {
            video_id: Found(
                entry,
                Layer.MISS if video_id in lookups else Layer.BYPASS,
                shareable=filled.get(video_id) is Filled.OK,
            )
            for video_id, entry in entries.items()
        }

    async def _fill_many(self, fills: Mapping[UUID, Fill]) -> Mapping[UUID, Filled]:
        try:
            return await self._cache.fill_many(fills) if fills else {}
        except CacheUnavailableError:
            return {}

    @staticmethod
    def _is_early(hit: Hit) -> bool:
        """XFetch: the probability of an early reload rises towards expiry and with the cost of the load."""
        return hit.fresh_for <= -hit.cost * _EAGERNESS * math.log(1.0 - random.random())  # noqa: S311


def _result(lookup: Lookup) -> str:
    if isinstance(lookup, Hit):
        return "negative" if lookup.entry.is_absent else "hit"
    return "wait" if isinstance(lookup, Wait) else "miss"
