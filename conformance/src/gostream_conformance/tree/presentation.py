"""An HLS tree for the rules: parsed playlists, measured segments, recorded HTTP answers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from gostream_conformance.errors import CuesError, MalformedError, PictureError
from gostream_conformance.formats.aac import AacConfig
from gostream_conformance.formats.h264 import Sps
from gostream_conformance.formats.mpegts import CLOCK
from gostream_conformance.formats.subtitles import TextSegment
from gostream_conformance.formats.webvtt import Cue
from gostream_conformance.playlist.bandwidth import peak_rate
from gostream_conformance.playlist.model import ByteRange, MasterPlaylist, MediaPlaylist, Segment, Variant
from gostream_conformance.tree.measures import AudioMeasure, SegmentMeasure, VideoMeasure

DECIMALS_TOLERANCE = 0.002  # frames per second: FRAME-RATE is written with three decimals
UNSTEADY_TOLERANCE = 0.005  # of the rate


class Kind(StrEnum):
    VIDEO = "video"
    AUDIO = "audio"
    IFRAMES = "iframes"
    TEXT = "text"


@dataclass(slots=True)
class Piece:
    """One segment of a media playlist, or one range of an I-frame playlist.

    Segments of subtitles have `text` or `text_problem`.
    """

    where: str  # for findings
    segment: Segment
    path: str | None  # None if its URI leaves the tree
    size: int = 0
    measure: SegmentMeasure | None = None
    problem: MalformedError | None = None
    text: TextSegment | None = None
    text_problem: CuesError | None = None

    def key_frames(self) -> Iterator[ByteRange]:
        """Yield the byte ranges of the key frames in the file, without the EXT-X-MAP bytes before them."""
        if self.measure:
            begin = self.segment.byte_range.offset if self.segment.byte_range else 0
            ahead = self.measure.size - self.size
            for key in self.measure.key_frames:
                yield ByteRange(begin + key.offset - ahead, key.size)


@dataclass
class Track:
    """One media playlist and its segments.

    Its figures are cached, because hundreds of variants may share a track. Use them only when it is complete.
    """

    kind: Kind
    path: str
    playlist: MediaPlaylist | None = None
    pieces: list[Piece] = field(default_factory=list)
    unsupported: str = ""  # the unsupported format; such a track is not measured

    def measured(self) -> Iterator[tuple[Piece, SegmentMeasure]]:
        for piece in self.pieces:
            if piece.measure:
                yield piece, piece.measure

    def videos(self) -> Iterator[tuple[Piece, VideoMeasure]]:
        for piece, measure in self.measured():
            if measure.video:
                yield piece, measure.video

    def audios(self) -> Iterator[tuple[Piece, AudioMeasure]]:
        for piece, measure in self.measured():
            if measure.audio:
                yield piece, measure.audio

    @cached_property
    def is_read(self) -> bool:
        """True if all bytes were read; figures of a partial track would be wrong."""
        return bool(self.pieces) and all(piece.size for piece in self.pieces)

    @cached_property
    def parameter_sets(self) -> tuple[Sps, ...]:
        """The distinct parameter sets, in order of appearance."""
        return tuple(dict.fromkeys(sps for _, video in self.videos() for sps in video.parameter_sets))

    @cached_property
    def sounds(self) -> tuple[AacConfig, ...]:
        """The distinct configurations of the audio."""
        return tuple(dict.fromkeys(config for _, audio in self.audios() for config in audio.configs))

    @cached_property
    def frame_rates(self) -> tuple[float, float] | None:
        """The lowest and the highest valid FRAME-RATE; None if it cannot be measured."""
        videos = [video for _, video in self.videos()]
        frames, ticks = sum(video.frames for video in videos), sum(video.ticks for video in videos)
        shortest = min((video.frame_ticks for video in videos), default=0)
        if frames < 2 or ticks <= 0 or shortest <= 0:
            return None
        average, longest = frames * CLOCK / ticks, max(video.longest_gap for video in videos)
        if longest - shortest <= 1:  # constant rate; rounding to ticks may lengthen each frame by one tick
            slack = DECIMALS_TOLERANCE + average**2 / CLOCK
            return average - slack, average + slack
        return average * (1 - UNSTEADY_TOLERANCE), max(average, CLOCK / shortest) * (1 + UNSTEADY_TOLERANCE)

    @cached_property
    def average_bandwidth(self) -> float:
        """Bits per second over the whole playlist, as defined by RFC 8216 4.1."""
        duration = sum(piece.segment.duration for piece in self.pieces)
        return sum(piece.size for piece in self.pieces) * 8 / duration if duration else 0.0

    @cached_property
    def peak_bandwidth(self) -> float:
        """The highest bit rate of any run of segments that lasts 0.5 to 1.5 target durations."""
        target = self.playlist.target_duration if self.playlist else 0
        bits = [piece.size * 8 for piece in self.pieces]
        durations = [piece.segment.duration for piece in self.pieces]
        peak = peak_rate(bits, durations, shortest=0.5 * target, longest=1.5 * target)
        return peak or self.average_bandwidth


@dataclass(slots=True)
class Storyboard:
    """A storyboard: its cues, and the sizes of their pictures."""

    path: str
    cues: tuple[Cue, ...] = ()
    problem: CuesError | None = None
    sizes: dict[str, tuple[int, int]] = field(
        default_factory=dict
    )  # by the cues' URI, without unread pictures
    bad_pictures: list[tuple[str, PictureError]] = field(default_factory=list)  # (path, error)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response without the body."""

    status: int
    headers: Mapping[str, str]
    size: int  # of the body, uncompressed


@dataclass(slots=True)
class Presentation:
    """The input of the rules. Lists resources that could not be read or parsed."""

    master_path: str
    master: MasterPlaylist | None = None
    tracks: dict[str, Track] = field(default_factory=dict)  # by path
    variant_tracks: list[tuple[Variant, Track]] = field(default_factory=list)
    iframe_tracks: list[tuple[Variant, Track]] = field(default_factory=list)
    audio_tracks: dict[str, list[Track | None]] = field(default_factory=dict)  # None = inside the variant
    storyboards: list[Storyboard] = field(default_factory=list)
    unparsed: list[tuple[str, str]] = field(default_factory=list)  # (where, why)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    escaping: list[tuple[str, str]] = field(default_factory=list)
    referenced: dict[str, str] = field(default_factory=dict)  # first reference by path
    over_http: bool = False
    answers: dict[str, Answer] = field(default_factory=dict)  # by path
    probes: dict[str, tuple[str, Answer]] = field(
        default_factory=dict
    )  # (path, answer) by the expected status: "206", "304" or "404"
    files: frozenset[str] | None = None

    @property
    def is_sound_alone(self) -> bool:
        """True if no variant has pictures."""
        variants = self.master.variants if self.master else []
        return bool(variants) and all(variant.audio_only for variant in variants)

    def sound_of(self, variant: Variant, track: Track) -> list[Track]:
        """Returns the audio tracks of a variant: those of its group, or its own track."""
        return [sound or track for sound in self.audio_tracks.get(variant.audio, [None])]
