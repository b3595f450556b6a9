"""Tracks committed versions that are not announced to Redis, whose entries may be out of date."""

from collections.abc import Callable, Mapping
from time import monotonic
from uuid import UUID

from gostream_shared.cache.bus.liveness import MAX_SILENCE
from gostream_shared.cache.metrics import UNANNOUNCED
from gostream_shared.cache.protocol import CacheUnavailableError

#: Largest number of tracked videos; with more unannounced videos, no entry in Redis is trusted.
MOST = 2000


class Unannounced:
    """The version floors that Redis may lack: committed versions that are still in the outbox.

    Redis can answer reads and reject writes (out of memory, too few replicas, a full disk, demoted, an ACL).
    Then INVALIDATE fails and its entries are out of date. The outbox has a row for each such version until
    INVALIDATE succeeds, so a process that has read the outbox recently knows which entries to reject.

    `floor` raises CacheUnavailableError if within `max_age` seconds neither the outbox was read nor Redis
    accepted a heartbeat.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic, max_age: float = MAX_SILENCE) -> None:
        self._clock = clock
        self._max_age = max_age
        self._until = float("-inf")  # entries at or above their floor are trusted until this time
        self._floors: dict[UUID, int] = {}
        self._noted: dict[UUID, float] = {}  # when this process noted a version itself
        self._is_flooded = False

    def floor(self, video_id: UUID) -> int:
        """Returns the lowest version that may be read from Redis, 0 if every version is announced.

        Call it before the command, for its `min_version`, and again after the reply. Raises
        CacheUnavailableError while no entry in Redis is trusted.
        """
        if self._is_flooded or self._clock() >= self._until:
            raise CacheUnavailableError("the unannounced versions are unknown")
        return self._floors.get(video_id, 0)

    def note(self, video_id: UUID, version: int) -> None:
        """Record a version that this process has committed and is about to announce."""
        self._floors[video_id] = max(version, self._floors.get(video_id, 0))
        self._noted[video_id] = self._clock()

    def forget(self, video_id: UUID, version: int) -> None:
        """Remove an announced version."""
        if self._floors.get(video_id) == version:
            del self._floors[video_id]
            self._noted.pop(video_id, None)

    def look(self, unsettled: Mapping[UUID, int] | None, *, asked: float) -> dict[UUID, int]:
        """Store the content of the outbox (None = more than `MOST` videos). Returns the raised floors.

        `asked` is the time before the outbox was read: versions noted later may be missing in it.
        """
        self._is_flooded = unsettled is None
        floors = dict(unsettled or {})
        for video_id, when in list(self._noted.items()):
            if when < asked:
                del self._noted[video_id]
            elif video_id in self._floors:
                floors[video_id] = max(self._floors[video_id], floors.get(video_id, 0))
        raised = {key: version for key, version in floors.items() if version > self._floors.get(key, 0)}
        self._floors = floors
        self._extend(asked)
        UNANNOUNCED.set(MOST + 1 if unsettled is None else len(floors))
        return raised

    def accepted(self, when: float) -> None:
        """Record that Redis accepted a heartbeat at `when` or later, so it does not reject all writes."""
        self._extend(when)

    def _extend(self, when: float) -> None:
        self._until = max(self._until, when + self._max_age)
