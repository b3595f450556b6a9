"""The state of a near cache, without input and output. Times are of one monotonic clock, in seconds."""

import math
from collections import OrderedDict
from dataclasses import dataclass

#: Seconds without a message of the stream after which no entry is trusted. The server breaks silence every
#: 10 s.
SILENCE = 12.0
#: Seconds for which a replica may answer older than an event: a little more than what the server promises.
LAG = 5.0
#: Bytes of the largest entry, which bounds the memory.
LARGEST = 16_384


@dataclass(frozen=True, slots=True)
class Fill:
    """A read from the server that may become an entry."""

    video_id: str
    began_at: float
    serial: int


@dataclass(frozen=True, slots=True)
class _Floor:
    version: int  # the least version that may be stored
    serial: int  # of the last news
    barrier: int  # of the last news without a version: no answer of a read that began before may be stored
    at: float


class Entries:
    """At most `size` videos as bytes, by id. An entry is returned only while the stream is live."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[str, tuple[int, bytes]] = OrderedDict()
        self._floors: OrderedDict[str, _Floor] = OrderedDict()
        self._heard_at = -math.inf
        #: Reads that began earlier may not be stored.
        self._open_at = math.inf
        self._serial = 0
        self.drops = 0

    def __len__(self) -> int:
        return len(self._entries)

    def is_filled(self, now: float) -> bool:
        """Returns whether a read that begins now may become an entry."""
        return self._is_live(now) and now >= self._open_at

    def get(self, video_id: str, now: float, *, min_version: int = 0) -> bytes | None:
        """Returns the entry, if it is at least at `min_version`."""
        if not self._is_live(now):
            self.drop_all()
            return None
        entry = self._entries.get(video_id)
        if entry is None or entry[0] < min_version:
            return None
        self._entries.move_to_end(video_id)
        return entry[1]

    def begin(self, video_id: str, now: float) -> Fill:
        """Returns the ticket of a read that begins now."""
        return Fill(video_id, now, self._serial)

    def is_current(self, fill: Fill) -> bool:
        """Returns whether nothing about the video was heard since the read began."""
        floor = self._floors.get(fill.video_id)
        return floor is None or floor.serial <= fill.serial

    def store(self, fill: Fill, version: int, data: bytes, now: float) -> bool:
        """Stores the answer of a read, unless it may be older than what was heard. Returns whether it did."""
        if not self._is_live(now) or fill.began_at < self._open_at:
            return False
        floor = self._floors.get(fill.video_id)
        if floor and (version < floor.version or fill.serial < floor.barrier):
            return False
        known = self._entries.get(fill.video_id)
        if len(data) > LARGEST or (known and known[0] > version):
            return False
        self._entries[fill.video_id] = (version, data)
        self._entries.move_to_end(fill.video_id)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)
        return True

    def start(self, now: float) -> None:
        """A stream started with the next event; what replicas had not heard by then is not repeated."""
        self.drop_all()
        self._heard_at = now
        self._open_at = now + LAG

    def heard(self, now: float) -> None:
        """The stream, or the one that continues it, has delivered a message."""
        if not self._is_live(now):
            self.drop_all()
        self._heard_at = now

    def change(self, video_id: str, version: int, now: float) -> None:
        """The video is at `version`, or has changed to an unknown one: 0. Drops an older entry."""
        entry = self._entries.get(video_id)
        if entry and (not version or entry[0] < version):
            del self._entries[video_id]
            self.drops += 1
        floor = self._floors.pop(video_id, None) or _Floor(0, 0, 0, now)
        self._serial += 1
        barrier = floor.barrier if version else self._serial
        self._floors[video_id] = _Floor(max(version, floor.version), self._serial, barrier, now)
        if len(self._floors) > self._size:
            _, oldest = self._floors.popitem(last=False)
            self._open_at = max(self._open_at, oldest.at + LAG)

    def stop(self) -> None:
        """The stream has ended and is not continued."""
        self.drop_all()
        self._heard_at = -math.inf

    def drop_all(self) -> None:
        """Drops every entry."""
        self.drops += len(self._entries)
        self._entries.clear()

    def _is_live(self, now: float) -> bool:
        return now - self._heard_at <= SILENCE
