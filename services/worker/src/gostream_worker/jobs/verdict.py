"""What the queue does with a job after an attempt."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Verdict:
    """Drops the job if `again_in` is None, else delivers it again after that delay."""

    again_in: timedelta | None = None


DONE = Verdict()
