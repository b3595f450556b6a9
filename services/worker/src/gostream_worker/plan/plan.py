"""The plan of one encode, as values."""

from dataclasses import dataclass
from fractions import Fraction

from gostream_worker.object_names import AUDIO
from gostream_worker.plan.profiles import Coding, Profile
from gostream_worker.plan.stream_copy import Cuts
from gostream_worker.probe.model import AudioTrack, VideoTrack


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One rendition: even sizes in square pixels, how it is coded, and the cap of its bit rate."""

    name: str
    width: int
    height: int
    coding: Coding
    max_bitrate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that decides what the encoder does. `rungs` go from the largest to the smallest."""

    profile: Profile
    video: VideoTrack
    audio: AudioTrack | None
    duration: float
    fps: Fraction
    rungs: tuple[Rung, ...]
    hdr_transfer: str | None  # tone-mapped from this when set
    held_frames: int = 0  # so often the last picture is shown again, until the sound ends
    copied: Cuts | None = None  # the top rung is the source's picture as it is, and all are cut with it
    copies_sound: bool = False
    ignores_edits: bool = False
    is_fragmented: bool = False
    whole_bytes: int | None = None  # of a source that is cut later
    longest_pause: float = 0.0  # seconds; the clock of the source does not jump where one track pauses
    picture_ends: float | None = None  # of the source; None = nothing says it

    @property
    def renditions(self) -> list[str]:
        """Names of the rungs, and of the sound when there is any."""
        return [*(rung.name for rung in self.rungs), *([AUDIO] if self.audio else [])]

    @property
    def gop_frames(self) -> int:
        return max(1, round(self.fps * self.profile.gop_seconds))

    @property
    def segment_duration(self) -> Fraction:
        """Seconds of a full segment: a whole number of GOPs, so that rungs are cut at the same frames."""
        if self.copied:
            return self.copied.interval
        gops = max(1, self.profile.segment_seconds // self.profile.gop_seconds)
        return gops * self.gop_frames / self.fps

    @property
    def longest_segment(self) -> Fraction:
        """Seconds that no segment of the picture exceeds."""
        return self.copied.longest if self.copied else self.segment_duration

    @property
    def poster_at(self) -> float:
        """Second that the poster shows."""
        return self.duration / 10
