"""Checks S1–S4 while a history runs; each check takes at most logarithmic time.

- S1  after INVALIDATE(v) takes effect, no hit in Redis is below v.
- S2  a read that starts PROMPT later returns v or above; BOUND later while the bus is faulty. Even if Redis
      refuses writes, a read that starts BOUND after `announce` ends returns v or above, provided that the
      database is reachable throughout.
- S3  a read returns its `min_version` or above, and a client can request any version that it has seen.
- S4  a read returns the data committed as its version.
"""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from uuid import UUID

#: Maximum seconds of a message's delay in a world without faults.
PROMPT = 0.15
#: Maximum seconds of staleness while the bus is cut: the silence that disables L1, plus a message.
BOUND = 3.0 + PROMPT


class Violation(AssertionError):  # noqa: N818 - the name is clear without a suffix
    """A promise was broken."""


@dataclass
class Checker:
    """The oracle. It observes every part of the world, and no part observes it."""

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
        """`announce` returned to the writer, even if Redis refused the write."""
        floors = self._announced[video_id]
        self._ends[video_id].append(now)
        floors.append(max(version, floors[-1] if floors else 0))

    def floor(self, video_id: UUID, when: float) -> int:
        """The highest version invalidated at or before that moment."""
        index = bisect_right(self._times[video_id], when)
        return self._floors[video_id][index - 1] if index else 0

    def announced_floor(self, video_id: UUID, when: float) -> int:
        """The highest version announced at or before that moment."""
        index = bisect_right(self._ends[video_id], when)
        return self._announced[video_id][index - 1] if index else 0

    def hit(self, floor: int, video_id: UUID, version: int) -> None:
        """Redis returned `version` while `floor` was the highest invalidated version."""
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
        """Checks one answered read; S2 does not apply if `excused`.

        `calm_since`: end of the reader's last bus fault; `known_since`: end of the last database outage. Both
        are infinity during a fault.
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
        """Checks the final state, long after all faults ended."""
        self._demand(version == newest, f"stuck: {where} answers {version}, newest is {newest}", video_id)

    @staticmethod
    def _demand(holds: bool, message: str, video_id: UUID) -> None:
        if not holds:
            raise Violation(f"{message} (video {video_id.int})")
