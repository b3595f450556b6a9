"""Counts of one replica during a run."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmarks.coherence.version_record import Event, Truth

#: Seconds after an announcement before an older answer counts as stale.
SOON = 0.1
#: Seconds after a commit before an older answer counts as very stale, under any fault.
LATE = 3.0


@dataclass(slots=True)
class Tally:
    """Numbers of reads and of stale reads."""

    reads: int = 0
    stale: int = 0  # began more than SOON after a newer version was announced
    stalled: int = 0  # of those: during a stall of the reader's process
    very_stale: int = 0  # began more than LATE after a newer version was committed
    worst: float = 0.0  # maximum staleness of an answer in seconds since the announcement
    errors: int = 0
    stuck: int = 0  # keys still wrong after a period without writes
    counters: Counter[str] = field(default_factory=Counter)

    def note(self, truth: Truth, key: int, version: int, started: float, *, stalled: bool = False) -> None:
        """Counts one answer. `stalled`: the reader's process was stalled."""
        self.reads += 1
        late = truth.lateness(Event.ANNOUNCED, key, version, started)
        self.worst = max(self.worst, late)
        self.stale += late > SOON
        self.stalled += late > SOON and stalled
        self.very_stale += truth.lateness(Event.COMMITTED, key, version, started) > LATE

    @classmethod
    def total(cls, tallies: Iterable["Tally"]) -> "Tally":
        """The sum over all replicas."""
        total = cls()
        for tally in tallies:
            total.reads += tally.reads
            total.stale += tally.stale
            total.stalled += tally.stalled
            total.very_stale += tally.very_stale
            total.worst = max(total.worst, tally.worst)
            total.errors += tally.errors
            total.stuck += tally.stuck
            total.counters += tally.counters
        return total
