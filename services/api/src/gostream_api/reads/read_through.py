"""L2 and the database: read an entry, or load it under a lease, by the protocol of docs/explanation/caching.md."""

import asyncio
import math
import random
from collections.abc import Callable, Mapping, Sequence
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

#: Seconds that a load may take: shorter than the staleness promised while the bus is cut.
LOAD_TIMEOUT = 2.0
#: Seconds that a waiter gives other processes' loads: longer than the lease of one that died and the load of
#: its successor, or all waiters would load at once just as that one ends.
WAIT_TIMEOUT = 4.0
_FIRST_POLL, _LAST_POLL = 0.005, 0.05
#: How eagerly an entry is loaded before its time (XFetch); 1 is optimal when loads take alike long.
_EAGERNESS = 1.0


class VideoRows(Protocol):
    """What a read needs of VideoRepository: the primary database's committed state."""

    async def get(self, video_id: UUID) -> Video:
        """Raises VideoNotFoundError and BackendUnavailableError."""
        ...

    async def get_many(self, video_ids: Sequence[UUID]) -> dict[UUID, Video]:
        """Those that exist. Raises BackendUnavailableError."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """One read below L1. `shareable`: it is what Redis holds, so L1 may keep it too."""

    entry: Entry
    layer: Layer
    shareable: bool
    early: bool = False  # it is time to load it anew


class ReadThrough:
    """Reads that may touch Redis and the database; no state of its own."""

    def __init__(
        self,
        cache: VideoCache,
        videos: VideoRows,
        *,
        unannounced: Unannounced,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._cache = cache
        self._videos = videos
        self._unannounced = unannounced
        self._clock = clock

    async def read(self, video_id: UUID, *, refresh: bool = False) -> Found:
        """The current entry from Redis, else from the database. Raises BackendUnavailableError.

        With `refresh` it is loaded anew although it is fresh, unless somebody does so already.
        """
        deadline = self._clock() + WAIT_TIMEOUT
        pause = _FIRST_POLL
        while True:
            lookup = await self._lookup(video_id, refresh=refresh)
            if isinstance(lookup, Hit):
                return Found(lookup.entry, Layer.L2, shareable=True, early=self._is_early(lookup))
            if isinstance(lookup, Lease):
                return await self._load_under_lease(video_id, lookup)
            if lookup is None or self._clock() > deadline:
                return Found(await self._load(video_id), Layer.BYPASS, shareable=False)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads polls
            pause = min(2 * pause, _LAST_POLL)

    async def read_primary(self, video_id: UUID) -> Found:
        """The database's answer whatever Redis holds; it is stored when nobody else is about to.

        Raises BackendUnavailableError.
        """
        lookup = await self._lookup(video_id, min_version=NEWEST)
        if isinstance(lookup, Lease):
            return await self._load_under_lease(video_id, lookup)
        return Found(await self._load(video_id), Layer.BYPASS, shareable=False)

    async def read_many(self, video_ids: Sequence[UUID]) -> dict[UUID, Found]:
        """Many at once: one round trip to Redis, one query for what it lacks, one round trip to store that.

        Without those that do not exist. Raises BackendUnavailableError.
        """
        lookups = await self._lookup_many(video_ids)
        found = {
            video_id: Found(lookup.entry, Layer.L2, shareable=True)
            for video_id, lookup in lookups.items()
            if isinstance(lookup, Hit)
        }
        missing = [video_id for video_id in video_ids if video_id not in found]
        return found | await self._load_many(missing, lookups) if missing else found

    async def _lookup(self, video_id: UUID, *, min_version: int = 0, refresh: bool = False) -> Lookup | None:
        """None when Redis cannot be used."""
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
        for lookup in lookups.values():
            REQUESTS.labels("l2", _result(lookup)).inc()
        return lookups

    @staticmethod
    def _demand(lookup: Lookup, floor: int) -> None:
        """Raise CacheUnavailableError if Redis answers what was found to be out of date while it did."""
        entry = (
            lookup.entry if isinstance(lookup, Hit) else lookup.stale if isinstance(lookup, Lease) else None
        )
        if entry is not None and entry.version < floor:
            raise CacheUnavailableError("Redis has not heard of a change")

    async def _load_under_lease(self, video_id: UUID, lease: Lease) -> Found:
        begun = self._clock()
        try:
            entry = await self._load(video_id)
        except BackendUnavailableError:
            if lease.stale is None:
                raise
            return Found(lease.stale, Layer.STALE, shareable=False)
        fill = Fill(lease.token, entry, cost=self._clock() - begun)
        try:
            filled = await self._cache.fill(video_id, fill)
        except CacheUnavailableError:
            return Found(entry, Layer.BYPASS, shareable=False)
        # A refused fill is still an answer: the read overlapped the write that refused it.
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
        return Entry(video.version, video)

    async def _load_many(
        self, video_ids: Sequence[UUID], lookups: Mapping[UUID, Lookup]
    ) -> dict[UUID, Found]:
        DB_LOADS.inc()
        begun = self._clock()
        try:
            async with asyncio.timeout(LOAD_TIMEOUT):
                videos = await self._videos.get_many(video_ids)
        except TimeoutError:
            raise BackendUnavailableError("database") from None
        cost = self._clock() - begun
        entries = {video_id: Entry(video.version, video) for video_id, video in videos.items()}
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
        """XFetch: the nearer its end and the dearer its load, the likelier an entry is loaded early."""
        return hit.fresh_for <= -hit.cost * _EAGERNESS * math.log(1.0 - random.random())  # noqa: S311


def _result(lookup: Lookup) -> str:
    if isinstance(lookup, Hit):
        return "hit" if lookup.entry.video is not None else "negative"
    return "wait" if isinstance(lookup, Wait) else "miss"
