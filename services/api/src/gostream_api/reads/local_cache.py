"""L1: the encoded replies in the memory of this process, and the rules for keeping them."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from gostream_api.reads.ports import VideoReply
from gostream_shared.cache.metrics import L1_FILLS_REJECTED

_STRIPES = 4096
#: Bytes of overhead per entry: objects and dictionary slots.
_OVERHEAD = 400


@dataclass(frozen=True, slots=True)
class LocalTimes:
    """Lifetimes of entries in seconds; coherence does not depend on them.

    An entry of Redis lives longer if Redis has it fresh for longer: it is reloaded after the end of that time
    and before its expiry in Redis, so Redis stays warm.
    """

    hard: float = 60.0  # an older entry is not served
    soft: float = 0.5  # fraction of `hard` after which an entry is served and reloaded in the background
    negative: float = 5.0  # `hard` for "no such video"
    jitter: float = 0.1  # fraction that spreads the expiry of entries stored together
    fresh: float = 0.8  # fraction of an entry's life in Redis for which it is fresh there


class LocalEntry:
    """An encoded reply and the owner of its video; `payload` and `reply` None = no such video."""

    __slots__ = ("hard", "owner", "payload", "reply", "soft", "used", "version")

    def __init__(self, version: int, payload: bytes | None, owner: str = "") -> None:
        self.version = version
        self.payload = payload  # of the reply; hits need only this
        self.reply = None if payload is None else VideoReply(version, payload)
        self.owner = owner
        self.soft = self.hard = 0.0
        self.used = False

    @property
    def size(self) -> int:
        if self.reply is None:
            return _OVERHEAD
        return _OVERHEAD + len(self.reply.payload) + len(self.reply.json or b"")


@dataclass(frozen=True, slots=True)
class Ticket:
    """A token taken before a read. A fill with it is rejected after an invalidation."""

    epoch: int
    generation: int


class LocalCache:
    """Entries of videos, bounded by bytes, with second-chance eviction (LRU without a second lookup per hit).

    Serves and stores nothing once `live_until()` has passed.
    """

    def __init__(
        self,
        *,
        live_until: Callable[[], float],
        max_bytes: int = 64 * 2**20,
        times: LocalTimes | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._live_until = live_until
        self._max_bytes = max_bytes
        self._times = times or LocalTimes()
        self._clock = clock
        self._entries: dict[int, LocalEntry] = {}  # by the id's integer: hashed and compared in C
        self._generations = [0] * _STRIPES
        self._epoch = 0
        self.bytes = 0

    def get(self, video_id: UUID, min_version: int = 0) -> LocalEntry | None:
        """Returns the entry at `min_version` or later if it may be served."""
        entry = self._entries.get(video_id.int)
        if entry is None or entry.version < min_version:
            return None
        now = self._clock()
        if now >= entry.hard or now >= self._live_until():
            return None
        entry.used = True
        return entry

    def get_many(self, video_ids: Sequence[UUID]) -> list[LocalEntry | None]:
        """Like `get` for each of the videos, with one look at the clock."""
        now = self._clock()
        if now >= self._live_until():
            return [None] * len(video_ids)
        entries = [self._entries.get(video_id.int) for video_id in video_ids]
        for position, entry in enumerate(entries):
            if entry is None:
                continue
            if now >= entry.hard:
                entries[position] = None
            else:
                entry.used = True
        return entries

    def wants_refresh(self, entry: LocalEntry) -> bool:
        """Returns True once, when the entry is old enough for a background reload."""
        if self._clock() < entry.soft:
            return False
        entry.soft = entry.hard
        return True

    def ticket(self, video_id: UUID) -> Ticket:
        """Returns a ticket. Take it before the read whose result will be stored."""
        return Ticket(self._epoch, self._generations[video_id.int % _STRIPES])

    def store(self, video_id: UUID, ticket: Ticket, entry: LocalEntry, fresh_for: float = 0.0) -> bool:
        """Store an entry that was read after `ticket` was taken, unless it may be out of date.

        `fresh_for`: seconds for which Redis has it fresh.
        """
        now = self._clock()
        if ticket != self.ticket(video_id):
            L1_FILLS_REJECTED.inc()
            return False
        if now >= self._live_until() or entry.size > self._max_bytes:
            return False
        old = self._entries.get(video_id.int)
        if old is not None and old.version > entry.version:
            return False
        self._remove(video_id.int)
        self._date(entry, now, fresh_for)
        self._entries[video_id.int] = entry
        self.bytes += entry.size
        self._evict()
        return True

    def keep_json(self, video_id: UUID, reply: VideoReply, json: bytes) -> None:
        """Set `reply.json`, and count its bytes if an entry has this reply."""
        is_first = reply.json is None
        reply.json = json
        entry = self._entries.get(video_id.int)
        if is_first and entry is not None and entry.reply is reply:
            self.bytes += len(json)
            self._evict()

    def invalidate(self, video_id: UUID, version: int) -> None:
        """Remove the entry if it is older than `version`, and reject fills that were read before now."""
        self._generations[video_id.int % _STRIPES] += 1
        entry = self._entries.get(video_id.int)
        if entry is not None and entry.version < version:
            self._remove(video_id.int)

    def clear(self) -> None:
        """Remove all entries, and reject fills that were read before now."""
        self._epoch += 1
        self._entries.clear()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def _date(self, entry: LocalEntry, now: float, fresh_for: float) -> None:
        times, spread = self._times, self._times.jitter * random.random()  # noqa: S311 - guards nothing
        life = (times.hard if entry.payload is not None else times.negative) * (1 - spread)
        reload = life * times.soft
        if entry.payload is not None and fresh_for > reload:
            life, reload = fresh_for / times.fresh, fresh_for * (1 + spread)
        entry.hard, entry.soft = now + life, now + reload

    def _remove(self, key: int) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.bytes -= entry.size

    def _evict(self) -> None:
        """Remove the oldest entries that were not used since the previous eviction pass."""
        while self.bytes > self._max_bytes:
            key = next(iter(self._entries))
            entry = self._entries[key]
            if entry.used:
                entry.used = False
                self._entries[key] = self._entries.pop(key)
            else:
                self._remove(key)
