"""What a source is made of, as our own probe saw it: plain values."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTrack:
    """The moving picture that will be encoded.

    `width` and `height` are pixels as stored: before `sample_aspect` stretches and `rotation` (degrees,
    a multiple of 90, clockwise) turns them.
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
    interlaced: bool = False
    transfer: int = 2  # ITU-T H.273 TransferCharacteristics; 2 = unspecified


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTrack:
    """The sound that will be encoded."""

    index: int
    codec: str
    channels: int
    sample_rate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A source that can be decoded. `duration` in seconds, of the whole container."""

    container: str
    duration: float
    size_bytes: int
    video: VideoTrack
    audio: AudioTrack | None = None
