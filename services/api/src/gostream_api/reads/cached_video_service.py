"""Serves GetVideo from the fastest layer that has the video: L1, Redis (L2), the database.

`CachedVideoService` adds L1, single flight and the Redis protocol to the reads of the repository:

    async with (
        open_cache(config, outbox=database.outbox, epochs=database.epochs, subscribe=True) as cache,
        CachedVideoService.open(cache, database.videos, encode=encode_video, owner_of=owner_of) as videos,
    ):
        read = await videos.get_video(caller, video_id, min_version=0)  # Read(reply, layer)
        reads = await videos.get_videos(caller, [id1, id2])              # {id: Read}, existing ones only
        await cache.announcer.announce(video_id, version)            # after every own commit

`announce` also removes the L1 entry and the flight of this process at once, so a caller reads its own write.
All callers share entries and loads; the owner is compared after the lookup.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Self
from uuid import UUID

from gostream_api.batched_counter import BatchedCounter
from gostream_api.principal import Principal
from gostream_api.reads.local_cache import LocalCache, LocalEntry, LocalTimes
from gostream_api.reads.ports import Layer, Read, VideoReply
from gostream_api.reads.read_through import Found, ReadThrough, VideoRows
from gostream_api.reads.singleflight import SingleFlight
from gostream_shared.cache.bus.bus import Bus
from gostream_shared.cache.bus.liveness import MAX_SILENCE
from gostream_shared.cache.compose import Cache
from gostream_shared.cache.metrics import REQUESTS
from gostream_shared.domain.errors import (
    BackendUnavailableError,
    OthersVideoError,
    VersionNotReachedError,
    VideoNotFoundError,
)
from gostream_shared.domain.video import Video
from gostream_shared.observability.tracing import spans

#: Longest time in seconds that an L1 entry is served, unless Redis has it fresh for longer.
LOCAL_TTL = 60.0
#: Largest number of entries that are reloaded in the background at the same time.
_MAX_REFRESHES = 64

_L1_HIT, _L1_NEGATIVE, _L1_MISS = (REQUESTS.labels("l1", result) for result in ("hit", "negative", "miss"))


@dataclass(frozen=True, slots=True)
class _LoadResult:
    """The result of a load: an encoded entry that all callers of the flight share."""

    entry: LocalEntry
    layer: Layer


class CachedVideoService:
    """Implements reads.ports.LocalVideoReader. Open it with `open`; safe for any number of callers."""

    def __init__(
        self,
        reads: ReadThrough,
        local: LocalCache,
        bus: Bus,
        *,
        owner_of: Callable[[bytes], str],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._reads = reads
        self._local = local
        self._bus = bus
        self._owner_of = owner_of
        self._flights = SingleFlight[UUID, _LoadResult](max_age=MAX_SILENCE, clock=clock)
        self._primary_flights = SingleFlight[UUID, _LoadResult](max_age=MAX_SILENCE, clock=clock)
        self._refreshes: dict[UUID, asyncio.Task[None]] = {}
        self._peeked = BatchedCounter(_L1_HIT)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        cache: Cache,
        videos: VideoRows,
        *,
        encode: Callable[[Video], bytes],
        owner_of: Callable[[bytes], str],
        max_bytes: int = 64 * 2**20,
    ) -> AsyncIterator[Self]:
        """Listen to the bus and serve reads until the block ends.

        `encode` returns the reply's bytes, `owner_of` the owner of the video from these bytes. L1 uses at
        most `max_bytes` of memory.
        """
        bus = cache.bus
        local = LocalCache(
            live_until=lambda: bus.live_until,
            max_bytes=max_bytes,
            times=LocalTimes(hard=min(LOCAL_TTL, cache.ttl)),
        )
        behind, link = cache.unannounced, cache.marks.take
        reads = ReadThrough(cache.videos, videos, unannounced=behind, encode=encode, link=link)
        service = cls(reads, local, bus, owner_of=owner_of)
        bus.add(service)
        try:
            yield service
        finally:
            bus.remove(service)
            service._peeked.flush()
            await service._stop_refreshes()

    @property
    def is_live(self) -> bool:
        """True if L1 entries may be served: the bus is proven and not silent."""
        return self._bus.is_live

    async def get_video(self, caller: Principal, video_id: UUID, *, min_version: int = 0) -> Read:
        """Returns the video at `min_version` or later.

        Raises VideoNotFoundError, VersionNotReachedError and BackendUnavailableError.
        """
        entry = self._local.get(video_id, min_version)
        if entry is not None:
            (_L1_HIT if _is_seen(caller, entry) else _L1_NEGATIVE).inc()
            self._refresh_if_old(video_id, entry)
            return _read(caller, video_id, entry, Layer.L1)
        _L1_MISS.inc()
        arrived = self._primary_flights.mark
        result = await self._flights.run(video_id, partial(self._load, video_id))
        if result.entry.version < min_version:
            result = await self._primary_flights.run_since(
                arrived,
                video_id,
                partial(self._load_primary, video_id),
                is_enough=lambda result: result.entry.version >= min_version,
            )
        spans.annotate(gostream__cache__layer=result.layer)
        return _checked(caller, video_id, result, min_version)

    def peek_video(self, caller: Principal, video_id: UUID, *, min_version: int = 0) -> bytes | None:
        """Returns the encoded video from L1; None if L1 has no entry. Raises VideoNotFoundError."""
        entry = self._local.get(video_id, min_version)
        if entry is None:
            return None
        self._refresh_if_old(video_id, entry)
        sees = caller.sees
        if entry.payload is None or (sees is not None and entry.owner != sees):
            _L1_NEGATIVE.inc()
            raise _not_found(caller, video_id, entry)
        self._peeked.add()
        return entry.payload

    def peek_videos(self, caller: Principal, video_ids: Sequence[UUID]) -> list[bytes] | None:
        """Returns the replies of all the videos from L1; None unless L1 has all of them."""
        payloads: list[bytes] = []
        sees = caller.sees
        for entry in self._local.get_many(video_ids):
            if entry is None or entry.payload is None or (sees is not None and entry.owner != sees):
                return None
            payloads.append(entry.payload)
        self._peeked.add(len(payloads))
        return payloads

    def peek_reply(self, caller: Principal, video_id: UUID, *, min_version: int = 0) -> VideoReply | None:
        """Like `peek_video`, but returns the reply that its callers share."""
        entry = self._local.get(video_id, min_version)
        if entry is None:
            return None
        self._refresh_if_old(video_id, entry)
        if entry.reply is None or not _is_seen(caller, entry):
            _L1_NEGATIVE.inc()
            raise _not_found(caller, video_id, entry)
        self._peeked.add()
        return entry.reply

    def peek_replies(self, caller: Principal, video_ids: Sequence[UUID]) -> list[VideoReply] | None:
        """Like `peek_videos`, but returns the replies that their callers share."""
        replies: list[VideoReply] = []
        for entry in self._local.get_many(video_ids):
            if entry is None or entry.reply is None or not _is_seen(caller, entry):
                return None
            replies.append(entry.reply)
        self._peeked.add(len(replies))
        return replies

    def keep_json(self, video_id: UUID, reply: VideoReply, json: bytes) -> None:
        """Set `reply.json`. L1 counts its bytes while it has the reply."""
        self._local.keep_json(video_id, reply, json)

    async def get_videos(self, caller: Principal, video_ids: Sequence[UUID]) -> dict[UUID, Read]:
        """Returns the existing videos by id, with one Redis pipeline and one query.

        Raises BackendUnavailableError.
        """
        entries = zip(video_ids, self._local.get_many(video_ids), strict=True)
        local = {video_id: entry for video_id, entry in entries if entry is not None}
        missing = [video_id for video_id in dict.fromkeys(video_ids) if video_id not in local]
        _L1_HIT.inc(len(local))
        _L1_MISS.inc(len(missing))
        tickets = {video_id: self._local.ticket(video_id) for video_id in missing}
        found = await self._reads.read_many(missing) if missing else {}
        result = {video_id: _LoadResult(entry, Layer.L1) for video_id, entry in local.items()}
        for video_id, each in found.items():
            result[video_id] = self._result(each)
            if each.shareable:
                self._local.store(video_id, tickets[video_id], result[video_id].entry, each.fresh_for)
        return {
            video_id: Read(each.entry.reply, each.layer)
            for video_id, each in result.items()
            if each.entry.reply is not None and _is_seen(caller, each.entry)
        }

    def changed(self, video_id: UUID, version: int) -> None:
        """Implements BusListener: later callers must not join a load that started before the change."""
        self._local.invalidate(video_id, version)
        self._flights.forget(video_id)
        self._primary_flights.forget(video_id)

    def reset(self) -> None:
        """Implements BusListener."""
        self._local.clear()
        self._flights.forget_all()
        self._primary_flights.forget_all()

    async def _load(self, video_id: UUID, *, refresh: bool = False) -> _LoadResult:
        ticket = self._local.ticket(video_id)  # before Redis is read: see LocalCache.store
        found = await self._reads.read(video_id, refresh=refresh)
        result = self._result(found)
        if found.shareable:
            self._local.store(video_id, ticket, result.entry, found.fresh_for)
        if found.early:
            self._refresh(video_id, early=True)
        return result

    async def _load_primary(self, video_id: UUID) -> _LoadResult:
        ticket = self._local.ticket(video_id)
        found = await self._reads.read_primary(video_id)
        result = self._result(found)
        if found.shareable:
            self._local.store(video_id, ticket, result.entry, found.fresh_for)
        return result

    def _result(self, found: Found) -> _LoadResult:
        entry = found.entry
        if entry.reply is None:
            return _LoadResult(LocalEntry(entry.version, None), found.layer)
        owner = entry.video.user_id if entry.video is not None else self._owner_of(entry.reply)
        return _LoadResult(LocalEntry(entry.version, entry.reply, owner), found.layer)

    def _refresh_if_old(self, video_id: UUID, entry: LocalEntry) -> None:
        if len(self._refreshes) < _MAX_REFRESHES and self._local.wants_refresh(entry):
            self._refresh(video_id)

    def _refresh(self, video_id: UUID, *, early: bool = False) -> None:
        """Reload an entry in the background, unless too many reloads are running."""
        if video_id in self._refreshes or len(self._refreshes) >= _MAX_REFRESHES:
            return
        task = asyncio.create_task(self._refresh_quietly(video_id, early), name=f"refresh {video_id}")
        self._refreshes[video_id] = task
        task.add_done_callback(lambda _: self._refreshes.pop(video_id))

    async def _refresh_quietly(self, video_id: UUID, early: bool) -> None:
        try:
            await self._load(video_id, refresh=early)
        except BackendUnavailableError:
            return  # the existing entry is still served

    async def _stop_refreshes(self) -> None:
        tasks = list(self._refreshes.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _checked(caller: Principal, video_id: UUID, result: _LoadResult, min_version: int) -> Read:
    """Check the owner before the version: the error of the version would report that the video exists."""
    version = result.entry.version
    read = _read(caller, video_id, result.entry, result.layer)
    if version < min_version:
        raise VersionNotReachedError(video_id, version=version, min_version=min_version)
    return read


def _is_seen(caller: Principal, entry: LocalEntry) -> bool:
    return entry.payload is not None and (caller.sees is None or caller.sees == entry.owner)


def _read(caller: Principal, video_id: UUID, entry: LocalEntry, layer: Layer) -> Read:
    if entry.reply is None or not _is_seen(caller, entry):
        raise _not_found(caller, video_id, entry)
    return Read(entry.reply, layer)


def _not_found(caller: Principal, video_id: UUID, entry: LocalEntry) -> VideoNotFoundError:
    if entry.payload is None:
        return VideoNotFoundError(video_id, version=entry.version)
    return OthersVideoError(video_id, version=entry.version, principal=caller.id)
