"""The probe's result: plain values."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from gostream_worker.probe.tracks.colour import Colours


@dataclass(frozen=True, slots=True)
class PictureGroup:
    """A key frame and the frames up to the next one. `start` in ticks of 90 kHz, `size` in bytes."""

    start: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoScan:
    """The result of a scan of all packets of an H.264 track. Times in ticks of 90 kHz.

    Every group begins with an IDR picture. No frame of a group is shown before it or uses other parameter
    sets.
    """

    profile: int
    level: int  # 31 = 3.1
    is_progressive: bool
    frames: int
    start: int  # of the first frame, relative to the container's start
    end: int  # end of the last frame, relative to the first frame
    shortest_gap: int
    longest_gap: int
    sample_aspect: Fraction = Fraction(1)  # from the track's parameter set, not from the container
    groups: tuple[PictureGroup, ...]  # relative to the first frame


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioScan:
    """The result of a scan of all packets of an AAC track.

    `start` in ticks of 90 kHz from the container's start.
    """

    is_low_complexity: bool
    is_gapless: bool
    frames: int
    size: int
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTrack:
    """The video track to encode.

    `width` and `height` are pixels as stored and cropped, before `sample_aspect` and `rotation` (degrees
    clockwise, a multiple of 90) are applied.
    """

    index: int
    codec: str
    width: int
    height: int
    pixel_format: str
    sample_aspect: Fraction = Fraction(1)
    rotation: int = 0
    average_fps: Fraction = Fraction(0)  # 0 = unknown
    base_fps: Fraction = Fraction(0)  # the grid of the timestamps; 0 = unknown
    as_stored: bool = True  # except for `rotation`: neither mirrored, tilted nor cropped
    interlaced: bool = False  # some frames are interlaced, or may be
    combs: Literal["tff", "bff"] | None = None  # every frame is woven from two fields without being flagged
    transfer: int = 2  # ITU-T H.273 TransferCharacteristics; 2 = unspecified
    matrix: int = 2  # ITU-T H.273 MatrixCoefficients; 2 = unspecified
    relabelled: Colours | None = None  # colours to set on the frames, because only the container has them
    leading: int = 0  # undecodable packets before the first key frame
    begins: float | None = None  # seconds from the container's start; None = unknown
    has_captions: bool = False  # CEA-608 or -708 in the pictures
    scan: VideoScan | None = None  # None if it cannot be copied
    seek_gap: float | None = None  # seconds by which a seek may miss; None = unknown

    @property
    def pixel_rate(self) -> float:
        """Pixels to decode per second of the film; 0 = unknown."""
        return self.width * self.height * float(self.average_fps)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTrack:
    """An audio track to encode.

    `channels`: 0 = unknown. `ambisonic`: the channels are directions instead of speakers. `language`: a BCP
    47 tag.
    """

    index: int
    codec: str
    channels: int
    sample_rate: int
    ambisonic: bool = False
    language: str | None = None
    begins: float | None = None  # seconds from the container's start; None = unknown
    ends: float | None = None
    bit_rate: int = 0  # bits per second by its header; 0 = unknown
    scan: AudioScan | None = None  # None if it cannot be copied


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTrack:
    """A track of the source besides the chosen picture. Chapters have the index -1.

    `codec`: ffmpeg's name, empty if unknown. `language`: a BCP 47 tag. `title` is one printable line without
    double quotes. `channels`: 0 = unknown.
    """

    index: int
    kind: Literal["audio", "subtitles", "chapters", "video"]
    codec: str = ""
    language: str | None = None
    title: str = ""
    is_forced: bool = False
    is_sdh: bool = False
    is_default: bool = False
    describes_video: bool = False
    is_commentary: bool = False
    channels: int = 0
    is_empty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A source that can be decoded. `duration`: seconds of picture and sound from the container's start.

    `picture_ends`: seconds until the picture ends, None if unknown. `longest_pause`: seconds for which one
    track pauses while the other continues, in containers whose clock may jump. `ignores_edits`: the source is
    only decodable if its edit list is ignored, because a cut beyond the end hides every picture.
    `is_fragmented`: the index is spread over the file. `whole_bytes`: readable bytes of a source that is cut
    off after them. `further`: other sounds that can be decoded. `tracks`: every track besides the
    picture, in the source's order.

    Without `video` it is sound alone, and has `audio`. `cover`: the index of its cover picture.
    `is_estimated`: no one read the duration, and the header has none.
    """

    container: str
    duration: float
    size_bytes: int
    video: VideoTrack | None
    audio: AudioTrack | None = None
    further: tuple[AudioTrack, ...] = ()
    picture_ends: float | None = None
    longest_pause: float = 0.0
    ignores_edits: bool = False
    is_fragmented: bool = False
    whole_bytes: int | None = None
    tracks: tuple[SourceTrack, ...] = ()
    cover: int | None = None
    is_estimated: bool = False


def display_size(video: VideoTrack) -> tuple[int, int]:
    """Returns width and height in square pixels, upright."""
    width, height = round(video.width * video.sample_aspect), video.height
    return (height, width) if video.rotation % 180 else (width, height)
