"""What one replica counts during a run."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmarks.coherence.truth import Event, Truth

#: Seconds after an announcement within which an older answer is not called stale.
SOON = 0.1
#: Seconds after a commit beyond which nothing excuses an older answer.
LATE = 3.0


@dataclass(slots=True)
class Tally:
    """Reads, and how many of them were out of date."""

    reads: int = 0
    stale: int = 0  # began more than SOON after a newer version was announced
    stalled: int = 0  # of those: while the reader's own process had not had its turn for long
    very_stale: int = 0  # began more than LATE after a newer version was committed
    worst: float = 0.0  # the most seconds that an answer had been superseded, by announcement
    errors: int = 0
    stuck: int = 0  # keys still wrong when all had been quiet for a while
    counters: Counter[str] = field(default_factory=Counter)

    def note(self, truth: Truth, key: int, version: int, started: float, *, stalled: bool = False) -> None:
        """Judge one answer; `stalled`: the reader's process had no chance to hear of anything."""
        self.reads += 1
        late = truth.lateness(Event.ANNOUNCED, key, version, started)
        self.worst = max(self.worst, late)
        self.stale += late > SOON
        self.stalled += late > SOON and stalled
        self.very_stale += truth.lateness(Event.COMMITTED, key, version, started) > LATE

    @classmethod
    def total(cls, tallies: Iterable["Tally"]) -> "Tally":
        """All replicas together."""
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
