"""What a source is made of, as our own probe saw it: plain values."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from gostream_worker.probe.tracks.colour import Colours


@dataclass(frozen=True, slots=True)
class PictureGroup:
    """A key frame and the frames up to the next one: `start` in ticks of 90 kHz, `size` in bytes."""

    start: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoScan:
    """What all packets of an H.264 track say. Times in ticks of 90 kHz.

    Every group begins with an IDR picture, and nothing in it is shown before that, or by other parameters.
    """

    profile: int
    level: int  # 31 = 3.1
    is_progressive: bool
    frames: int
    start: int  # of the first frame, from the start of the whole container
    end: int  # of the last frame, from the start of the first
    shortest_gap: int
    longest_gap: int
    sample_aspect: Fraction = Fraction(1)  # by the track's own parameters, whatever the container says
    groups: tuple[PictureGroup, ...]  # starts from that of the first frame


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioScan:
    """What all packets of an AAC track say. `start` in ticks of 90 kHz from the container's start."""

    is_low_complexity: bool
    is_gapless: bool
    frames: int
    size: int
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTrack:
    """The moving picture that will be encoded.

    `width` and `height` are pixels as stored and cropped: before `sample_aspect` stretches and `rotation`
    (degrees, a multiple of 90, clockwise) turns them.
    """

    index: int
    codec: str
    width: int
    height: int
    pixel_format: str
    sample_aspect: Fraction = Fraction(1)
    rotation: int = 0
    average_fps: Fraction = Fraction(0)  # 0 = unknown
    base_fps: Fraction = Fraction(0)  # the grid that timestamps lie on; 0 = unknown
    as_stored: bool = True  # but for `rotation`: neither mirrored, tilted nor cropped
    interlaced: bool = False  # some frames at least, or it may begin with any
    combs: Literal["tff", "bff"] | None = None  # every frame is woven so from two fields, whatever it says
    transfer: int = 2  # ITU-T H.273 TransferCharacteristics; 2 = unspecified
    matrix: int = 2  # ITU-T H.273 MatrixCoefficients; 2 = unspecified
    relabelled: Colours | None = None  # what frames have to be told, because only the container says it
    leading: int = 0  # packets that no decoder can use, before the first key frame
    begins: float | None = None  # seconds from the container's start; None = nothing says it
    has_captions: bool = False  # CEA-608 or -708 in its pictures
    scan: VideoScan | None = None  # None when it cannot be copied anyhow

    @property
    def pixel_rate(self) -> float:
        """Pixels to decode for each second of the film; 0 = unknown."""
        return self.width * self.height * float(self.average_fps)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTrack:
    """The sound that will be encoded.

    `channels`: 0 if its header does not say. `ambisonic`: they are no speakers, but directions.
    `language`: a tag of BCP 47.
    """

    index: int
    codec: str
    channels: int
    sample_rate: int
    ambisonic: bool = False
    language: str | None = None
    begins: float | None = None  # seconds from the container's start; None = nothing says it
    ends: float | None = None
    scan: AudioScan | None = None  # None when it cannot be copied anyhow


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A source that can be decoded. `duration`: seconds of picture and sound from the container's start.

    `picture_ends`: those of the picture alone, None if nothing says it. `longest_pause`: seconds for which
    one track pauses while the other goes on, where the clock of the container may jump.
    With `ignores_edits` it can be when its edit list is ignored: a cut beyond the end hides every picture.
    `is_fragmented`: its index is spread over the file. `whole_bytes`: it is read so far, and cut later.
    """

    container: str
    duration: float
    size_bytes: int
    video: VideoTrack
    audio: AudioTrack | None = None
    picture_ends: float | None = None
    longest_pause: float = 0.0
    ignores_edits: bool = False
    is_fragmented: bool = False
    whole_bytes: int | None = None


def display_size(video: VideoTrack) -> tuple[int, int]:
    """Width and height in square pixels, upright."""
    width, height = round(video.width * video.sample_aspect), video.height
    return (height, width) if video.rotation % 180 else (width, height)
