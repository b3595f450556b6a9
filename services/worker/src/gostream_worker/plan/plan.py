"""The plan of one encode."""

from dataclasses import dataclass
from fractions import Fraction

from gostream_shared.domain.tracks import Track
from gostream_worker.plan.chunks import WHOLE, Chunk
from gostream_worker.plan.clip import Clip
from gostream_worker.plan.profiles import Coding, Profile
from gostream_worker.plan.sounds import Sound
from gostream_worker.plan.stream_copy import Cuts
from gostream_worker.plan.texts import Text
from gostream_worker.probe.model import AudioTrack, VideoTrack

#: Seconds of a rung's highest bit rate that fit into the buffer of players.
BUFFER_SECONDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One rendition: even sizes in square pixels, its x264 coding, and the cap of its bit rate.

    `threads` of x264 determine the coded bytes, so they do not depend on the machine.
    """

    name: str
    width: int
    height: int
    coding: Coding
    max_bitrate: int
    threads: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All inputs of the encoder. `rungs` go from the largest to the smallest."""

    profile: Profile
    video: VideoTrack
    sounds: tuple[Sound, ...]  # the film's own sound first
    duration: float
    fps: Fraction
    rungs: tuple[Rung, ...]
    hdr_transfer: str | None  # if set, tone-mapped from this transfer function
    held_frames: int = 0  # repetitions of the last picture until the sound ends
    copied: Cuts | None = None  # the top rung copies the source's picture, and all rungs are cut with it
    texts: tuple[Text, ...] = ()
    tracks: tuple[Track, ...] = ()  # what happens to each track besides the picture
    container: str = ""  # of the source, by ffmpeg's name
    ignores_edits: bool = False
    is_fragmented: bool = False
    whole_bytes: int | None = None  # readable bytes of a source that is cut off after them
    longest_pause: float = 0.0  # seconds of a pause in one track that is no clock jump
    picture_ends: float | None = None  # of the source; None = unknown
    clip: Clip | None = None  # if set, only this part of the source; `duration` is the clip's
    asked_poster_at: float | None = None
    preroll: float | None = None  # seconds decoded before a chunk; None = the source cannot be sought
    chunks: tuple[Chunk, ...] = (WHOLE,)

    @property
    def is_whole(self) -> bool:
        """Whether one process encodes the film."""
        return self.chunks == (WHOLE,)

    @property
    def renditions(self) -> list[str]:
        """Folders of the rungs and of the sounds."""
        return [*(rung.name for rung in self.rungs), *(sound.folder for sound in self.sounds)]

    @property
    def audio(self) -> AudioTrack | None:
        """The film's own sound."""
        return self.sounds[0].audio if self.sounds else None

    @property
    def copies_sound(self) -> bool:
        return any(sound.is_copied for sound in self.sounds)

    @property
    def gop_frames(self) -> int:
        return max(1, round(self.fps * self.profile.gop_seconds))

    @property
    def segment_frames(self) -> int:
        """Frames of a full segment of pictures that are all encoded."""
        gops = max(1, self.profile.segment_seconds // self.profile.gop_seconds)
        return gops * self.gop_frames

    @property
    def segment_duration(self) -> Fraction:
        """Seconds of a full segment: a multiple of the GOP, so that rungs are cut at the same frames."""
        if self.copied:
            return self.copied.interval
        return self.segment_frames / self.fps

    @property
    def longest_segment(self) -> Fraction:
        """Upper bound in seconds of a segment of the picture."""
        return self.copied.longest if self.copied else self.segment_duration

    @property
    def poster_at(self) -> float:
        """The position of the poster, in seconds."""
        return self.duration / 10 if self.asked_poster_at is None else self.asked_poster_at

    @property
    def decoded(self) -> float:
        """Seconds of the source that are decoded: a clip is counted from the beginning of the film."""
        return float(self.clip.end) if self.clip else self.duration
