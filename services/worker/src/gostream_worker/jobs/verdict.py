"""What becomes of a job after an attempt."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the queue does with the job: drop it, or deliver it again after a while."""

    again_in: timedelta | None = None


DONE = Verdict()
