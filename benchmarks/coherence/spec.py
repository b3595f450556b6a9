"""What every process of a run is told."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from gostream_shared.config import Config, load

#: The variable that tells a door how many seconds late a database read comes at most.
LOAD_DELAY = "BENCH_LOAD_DELAY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One run of one system."""

    system: str
    door: bool  # whether readers ask through a fast door of their replica's own
    environment: dict[str, str]  # how a replica reaches the servers
    writer_environment: dict[str, str]
    record: Path  # of truth.Truth
    video_ids: tuple[UUID, ...]
    readers: int  # of each replica
    batch: int  # reads of a reader in a row
    pause: float  # mean seconds until its next
    load_delay: float  # most seconds between a reader's database read and its fill
    rate: float  # writes per second of each writer process
    burst: int  # writes of one video shortly after one another
    settle: float  # seconds of quiet before a key that is still wrong counts as stuck
    fatal: float = 0.0  # probability that a writer dies between a commit and its announcement

    def config(self) -> Config:
        return load(Config, self.environment)

    def writer_config(self) -> Config:
        return load(Config, self.writer_environment)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to begin and to end, by the machine's monotonic clock."""

    start: float
    stop: float
