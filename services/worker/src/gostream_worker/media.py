"""What a source is made of, as our own probe saw it: plain values."""

from dataclasses import dataclass
from fractions import Fraction

#: Samples in a frame of AAC.
AAC_FRAME = 1024


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
    transfer: int = 2  # ITU-T H.273 TransferCharacteristics; 2 = unspecified
    matrix: int = 2  # ITU-T H.273 MatrixCoefficients; 2 = unspecified
    scan: VideoScan | None = None  # None when it cannot be copied anyhow


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTrack:
    """The sound that will be encoded."""

    index: int
    codec: str
    channels: int
    sample_rate: int
    begins: float | None = None  # seconds from the container's start; None = nothing says it
    ends: float | None = None
    scan: AudioScan | None = None  # None when it cannot be copied anyhow


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A source that can be decoded. `duration`: seconds of picture and sound from the container's start.

    `picture_ends`: those of the picture alone, None if nothing says it. `longest_pause`: seconds for which
    one track pauses while the other goes on, where the clock of the container may jump.
    With `ignores_edits` it can be when its edit list is ignored: a cut beyond the end hides every picture.
    `is_fragmented`: its index is spread over the file.
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
