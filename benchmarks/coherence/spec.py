"""Settings for every process of a run."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from gostream_shared.config import Config, load

#: Variable with an API's maximum delay of a database read in seconds.
LOAD_DELAY = "BENCH_LOAD_DELAY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One run of one system."""

    system: str
    door: bool  # whether readers use a read door, one per replica
    environment: dict[str, str]  # variables with the servers' addresses
    writer_environment: dict[str, str]
    record: Path  # of version_record.Truth
    video_ids: tuple[UUID, ...]
    readers: int  # of each replica
    batch: int  # consecutive reads of a reader
    pause: float  # mean seconds between batches
    load_delay: float  # maximum seconds between a reader's database read and its fill
    rate: float  # writes per second of each writer process
    burst: int  # consecutive writes of one video
    settle: float  # seconds without writes before a wrong key counts as stuck
    fatal: float = 0.0  # probability that a writer dies between a commit and its announcement

    def config(self) -> Config:
        return load(Config, self.environment)

    def writer_config(self) -> Config:
        return load(Config, self.writer_environment)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Begin and end by the machine's monotonic clock."""

    start: float
    stop: float
