"""One encode of a video, and its progress."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from gostream_shared.domain import profiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Encode:
    """One run of the pipeline over a video's source; its prefix in the object store is `v{number}`.

    `attempt` counts the workers that have begun it, and fences them: only the latest may publish or fail it.
    `forgiven` of the attempts before ended for reasons that were not the encode's: an outage, a deploy.
    `profile` names how the caller wants it; every attempt has the same.
    """

    video_id: UUID
    number: int
    attempt: int
    forgiven: int = 0
    profile: str = profiles.DEFAULT

    @property
    def tries(self) -> int:
        """How many attempts count, this one included."""
        return self.attempt - self.forgiven


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an encode has come. `percent` is 0–100 and never falls within one encode."""

    stage: str
    percent: float = 0.0
    speed: float | None = None  # media seconds per second
    eta: timedelta | None = None
