"""One encode of a video, and its progress."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from gostream_shared.domain import profiles
from gostream_shared.domain.videos.loudness import LoudnessTarget
from gostream_shared.domain.videos.options import USUAL, EncodeOptions

#: The percentages of the progress that encoding spans.
ENCODING_PERCENT = (5.0, 97.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encode:
    """One run of the pipeline over a video's source; its prefix in the object store is `v{number}`.

    `attempt` is the number of the attempt and part of the fence: only the latest attempt may publish or fail
    the encode. `forgiven` earlier attempts do not count as tries, because an outage or a deploy ended them.
    `profile`, `loudness` and `options` are the caller's choice and the same for every attempt. `chunk_tries`:
    the highest number of a try of a chunk that an earlier attempt planned.
    """

    video_id: UUID
    number: int
    attempt: int
    forgiven: int = 0
    profile: str = profiles.DEFAULT
    options: EncodeOptions = USUAL
    loudness: LoudnessTarget | None = None  # None: sounds keep theirs
    chunk_tries: int = 0

    @property
    def names(self) -> int:
        """The number in the names of this attempt's segments, which no other attempt or chunk uses."""
        return self.attempt + self.chunk_tries

    @property
    def tries(self) -> int:
        """The number of attempts that count, including this one."""
        return self.attempt - self.forgiven


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of an encode. `percent` is 0–100 and never falls within one encode."""

    stage: str
    percent: float = 0.0
    speed: float | None = None  # media seconds per second
    eta: timedelta | None = None
