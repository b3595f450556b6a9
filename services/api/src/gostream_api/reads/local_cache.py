"""L1: the encoded replies that this process keeps, and the rules by which they may be kept."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from gostream_shared.cache.metrics import L1_FILLS_REJECTED

_STRIPES = 4096
#: Bytes that an entry costs beside its reply: objects, dictionary slots.
_OVERHEAD = 400


@dataclass(frozen=True, slots=True)
class LocalTimes:
    """How long an entry lives here, in seconds; coherence does not depend on it."""

    hard: float = 60.0  # then it is not served
    soft: float = 0.5  # part of `hard` after which it is served and loaded anew beside
    negative: float = 5.0  # `hard` of "no such video"
    jitter: float = 0.1  # part by which entries kept together die apart


class LocalEntry:
    """A reply, ready for the wire; `payload` None = no such video."""

    __slots__ = ("hard", "payload", "soft", "used", "version")

    def __init__(self, version: int, payload: bytes | None) -> None:
        self.version = version
        self.payload = payload
        self.soft = self.hard = 0.0
        self.used = False

    @property
    def size(self) -> int:
        return _OVERHEAD + len(self.payload or b"")


@dataclass(frozen=True, slots=True)
class Ticket:
    """Taken before a read begins: a fill with it is refused if anything was invalidated since."""

    epoch: int
    generation: int


class LocalCache:
    """Entries of videos, bounded by bytes, evicted by second chance (LRU without a second look-up per hit).

    Nothing is served or stored unless `live()` lies in the future: the bus was heard lately.
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
        """The entry at `min_version` or later, if it may be served."""
        entry = self._entries.get(video_id.int)
        if entry is None or entry.version < min_version:
            return None
        now = self._clock()
        if now >= entry.hard or now >= self._live_until():
            return None
        entry.used = True
        return entry

    def wants_refresh(self, entry: LocalEntry) -> bool:
        """Whether the entry is old enough to be loaded anew beside; true once."""
        if self._clock() < entry.soft:
            return False
        entry.soft = entry.hard
        return True

    def ticket(self, video_id: UUID) -> Ticket:
        """To be taken before the read whose result is to be stored."""
        return Ticket(self._epoch, self._generations[video_id.int % _STRIPES])

    def store(self, video_id: UUID, ticket: Ticket, entry: LocalEntry) -> bool:
        """Keep what was read after `ticket` was taken, unless it may be out of date by now."""
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
        self._date(entry, now)
        self._entries[video_id.int] = entry
        self.bytes += entry.size
        self._evict()
        return True

    def invalidate(self, video_id: UUID, version: int) -> None:
        """Forget what is older than `version`, and refuse fills that were read before now."""
        self._generations[video_id.int % _STRIPES] += 1
        entry = self._entries.get(video_id.int)
        if entry is not None and entry.version < version:
            self._remove(video_id.int)

    def clear(self) -> None:
        """Forget everything, and refuse every fill that was read before now."""
        self._epoch += 1
        self._entries.clear()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def _date(self, entry: LocalEntry, now: float) -> None:
        life = self._times.hard if entry.payload is not None else self._times.negative
        life *= 1 - self._times.jitter * random.random()  # noqa: S311 - spreads load, guards nothing
        entry.hard = now + life
        entry.soft = now + life * self._times.soft

    def _remove(self, key: int) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.bytes -= entry.size

    def _evict(self) -> None:
        """Drop the oldest entries that were not used since they were looked at last."""
        while self.bytes > self._max_bytes:
            key = next(iter(self._entries))
            entry = self._entries[key]
            if entry.used:
                entry.used = False
                self._entries[key] = self._entries.pop(key)
            else:
                self._remove(key)
