"""Which entries in Redis may not be believed: a later version could not be announced there."""

from collections.abc import Callable, Mapping
from time import monotonic
from uuid import UUID

from gostream_shared.cache.bus.liveness import MAX_SILENCE
from gostream_shared.cache.metrics import UNANNOUNCED
from gostream_shared.cache.protocol import CacheUnavailableError

#: Videos whose floors are kept; with more of them unannounced nothing in Redis is believed.
MOST = 2000


class Unannounced:
    """The floors that Redis may lack: of the versions that are committed and still in the outbox.

    Redis may answer reads and refuse writes (out of memory, too few replicas, a full disk, demoted, an
    ACL). INVALIDATE fails then, and its entries are out of date. The outbox has a row for each such version
    until INVALIDATE succeeded, so a process that has looked at it lately knows what not to believe.

    `floor` raises CacheUnavailableError if for `max_age` seconds neither was the outbox read nor did Redis
    take a heartbeat.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic, max_age: float = MAX_SILENCE) -> None:
        self._clock = clock
        self._max_age = max_age
        self._until = float("-inf")  # entries at their floor may be believed before this moment
        self._floors: dict[UUID, int] = {}
        self._noted: dict[UUID, float] = {}  # when this process noted a version itself
        self._is_flooded = False

    def floor(self, video_id: UUID) -> int:
        """The least version that may be read from Redis, 0 if all is announced.

        To be asked before the command, as its `min_version`, and once more when the reply came. Raises
        CacheUnavailableError while nothing there may be believed.
        """
        if self._is_flooded or self._clock() >= self._until:
            raise CacheUnavailableError("it is not known what Redis has not heard of")
        return self._floors.get(video_id, 0)

    def note(self, video_id: UUID, version: int) -> None:
        """This process committed a version; its announcement begins."""
        self._floors[video_id] = max(version, self._floors.get(video_id, 0))
        self._noted[video_id] = self._clock()

    def forget(self, video_id: UUID, version: int) -> None:
        """That version was announced."""
        if self._floors.get(video_id) == version:
            del self._floors[video_id]
            self._noted.pop(video_id, None)

    def look(self, unsettled: Mapping[UUID, int] | None, *, asked: float) -> dict[UUID, int]:
        """Note what the outbox holds, None = more than `MOST` videos; answer the floors that this raised.

        `asked`: the clock before the look. What this process noted later may be missing in it.
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
        """Redis took a heartbeat at that moment or later: it does not refuse everything to everybody."""
        self._extend(when)

    def _extend(self, when: float) -> None:
        self._until = max(self._until, when + self._max_age)
