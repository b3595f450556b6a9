"""S1–S4 over one history, as it happens; each check takes logarithmic time at most.

- S1  after INVALIDATE(v) took effect, no hit in Redis is below v.
- S2  a read that starts PROMPT later is at v or above; while the bus is in trouble, BOUND later. A read that
      starts BOUND after `announce` ended is too, whatever Redis refused, if the database was reachable
      throughout.
- S3  a read is at its `min_version` or above, and a version that a client saw can be asked for.
- S4  what is read at a version is what was committed as that version.
"""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from uuid import UUID

#: Seconds that a message may take in a world without faults.
PROMPT = 0.15
#: Seconds of staleness while the bus is cut: the silence after which nothing local is served, and a message.
BOUND = 3.0 + PROMPT


class Violation(AssertionError):  # noqa: N818 - reads as what it is
    """A promise was broken."""


@dataclass
class Checker:
    """The oracle: it sees what every part did, and no part sees it."""

    committed: dict[tuple[UUID, int], str | None] = field(default_factory=dict)
    _times: defaultdict[UUID, list[float]] = field(default_factory=lambda: defaultdict(list))
    _floors: defaultdict[UUID, list[int]] = field(default_factory=lambda: defaultdict(list))
    _ends: defaultdict[UUID, list[float]] = field(default_factory=lambda: defaultdict(list))
    _announced: defaultdict[UUID, list[int]] = field(default_factory=lambda: defaultdict(list))
    reads: int = 0
    trace: list[tuple[object, ...]] = field(default_factory=list)

    def commit(self, video_id: UUID, version: int, title: str | None) -> None:
        self.committed[video_id, version] = title

    def invalidated(self, now: float, video_id: UUID, version: int) -> None:
        """INVALIDATE took effect in Redis."""
        floors = self._floors[video_id]
        self._times[video_id].append(now)
        floors.append(max(version, floors[-1] if floors else 0))

    def announced(self, now: float, video_id: UUID, version: int) -> None:
        """The writer was answered, whatever Redis said."""
        floors = self._announced[video_id]
        self._ends[video_id].append(now)
        floors.append(max(version, floors[-1] if floors else 0))

    def floor(self, video_id: UUID, when: float) -> int:
        """The highest version invalidated at or before that moment."""
        index = bisect_right(self._times[video_id], when)
        return self._floors[video_id][index - 1] if index else 0

    def announced_floor(self, video_id: UUID, when: float) -> int:
        """The highest version whose announcement had ended at that moment."""
        index = bisect_right(self._ends[video_id], when)
        return self._announced[video_id][index - 1] if index else 0

    def hit(self, floor: int, video_id: UUID, version: int) -> None:
        """Redis answered `version` at a moment when `floor` was the highest that had been invalidated."""
        self._demand(version >= floor, f"S1: Redis answered {version}, invalidated below {floor}", video_id)

    def read(
        self,
        video_id: UUID,
        version: int,
        title: str | None,
        *,
        begun: float,
        calm_since: float,
        known_since: float,
        min_version: int,
        excused: bool,
    ) -> None:
        """One answered read. `calm_since`: when the reader's bus was last in trouble. `excused`: from S2.

        `known_since`: when the database was last out of reach; infinity while it is down.
        """
        self.reads += 1
        self.trace.append((video_id.int, version, round(begun, 6)))
        if not excused:
            bound = self.floor(video_id, begun - BOUND)
            self._demand(version >= bound, f"S2: read {version}, {bound} was {BOUND} s old", video_id)
            if begun - BOUND >= known_since:
                bound = self.announced_floor(video_id, begun - BOUND)
                self._demand(
                    version >= bound, f"S2: read {version}, {bound} announced {BOUND} s ago", video_id
                )
            if begun - PROMPT >= calm_since:
                prompt = self.floor(video_id, begun - PROMPT)
                self._demand(version >= prompt, f"S2: read {version}, {prompt} was {PROMPT} s old", video_id)
        self._demand(version >= min_version or title is None, f"S3: {version} < {min_version}", video_id)
        truth = self.committed.get((video_id, version)) if version else None
        self._demand(title == truth, f"S4: {version} is {title!r}, committed was {truth!r}", video_id)

    def settled(self, video_id: UUID, version: int, newest: int, where: str) -> None:
        """Long after everything healed."""
        self._demand(version == newest, f"stuck: {where} answers {version}, newest is {newest}", video_id)

    @staticmethod
    def _demand(holds: bool, message: str, video_id: UUID) -> None:
        if not holds:
            raise Violation(f"{message} (video {video_id.int})")
