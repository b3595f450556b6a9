"""A whole HLS tree as the rules look at it: playlists parsed, segments measured, answers remembered."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from gostream_conformance.errors import CuesError, MalformedError, PictureError
from gostream_conformance.formats.aac import AacConfig
from gostream_conformance.formats.h264 import Sps
from gostream_conformance.formats.mpegts import CLOCK
from gostream_conformance.formats.webvtt import Cue
from gostream_conformance.playlist.bandwidth import peak_rate
from gostream_conformance.playlist.model import ByteRange, MasterPlaylist, MediaPlaylist, Segment, Variant
from gostream_conformance.tree.segment import AudioMeasure, SegmentMeasure, VideoMeasure

DECIMALS_TOLERANCE = 0.002  # frames per second: FRAME-RATE is written with three decimals
UNSTEADY_TOLERANCE = 0.005  # of the rate


class Kind(StrEnum):
    VIDEO = "video"
    AUDIO = "audio"
    IFRAMES = "iframes"


@dataclass(slots=True)
class Piece:
    """One segment of a media playlist, or one range of an I-frame playlist."""

    where: str  # for findings
    segment: Segment
    path: str | None  # None when its URI leaves the tree
    size: int = 0
    measure: SegmentMeasure | None = None
    problem: MalformedError | None = None

    def key_frames(self) -> Iterator[ByteRange]:
        """Where they are in its file; what EXT-X-MAP names was measured in front of it."""
        if self.measure:
            begin = self.segment.byte_range.offset if self.segment.byte_range else 0
            ahead = self.measure.size - self.size
            for key in self.measure.key_frames:
                yield ByteRange(begin + key.offset - ahead, key.size)


@dataclass
class Track:
    """One media playlist and its segments.

    Its figures are taken once, when it is complete: hundreds of variants may share a track.
    """

    kind: Kind
    path: str
    playlist: MediaPlaylist | None = None
    pieces: list[Piece] = field(default_factory=list)
    unsupported: str = ""  # what is in it, when nothing of it is measured

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
        """Whether all of its bytes were: figures over half a track would accuse the wrong line."""
        return bool(self.pieces) and all(piece.size for piece in self.pieces)

    @cached_property
    def parameter_sets(self) -> tuple[Sps, ...]:
        """The different ones, in order of appearance."""
        return tuple(dict.fromkeys(sps for _, video in self.videos() for sps in video.parameter_sets))

    @cached_property
    def sounds(self) -> tuple[AacConfig, ...]:
        """The different configurations of its sound."""
        return tuple(dict.fromkeys(config for _, audio in self.audios() for config in audio.configs))

    @cached_property
    def frame_rates(self) -> tuple[float, float] | None:
        """The lowest and the highest FRAME-RATE that may be said of its pictures; None when nothing tells."""
        videos = [video for _, video in self.videos()]
        frames, ticks = sum(video.frames for video in videos), sum(video.ticks for video in videos)
        shortest = min((video.frame_ticks for video in videos), default=0)
        if frames < 2 or ticks <= 0 or shortest <= 0:
            return None
        average, longest = frames * CLOCK / ticks, max(video.longest_gap for video in videos)
        if longest - shortest <= 1:  # one rate; in whole ticks, all frames may be one too long
            slack = DECIMALS_TOLERANCE + average**2 / CLOCK
            return average - slack, average + slack
        return average * (1 - UNSTEADY_TOLERANCE), max(average, CLOCK / shortest) * (1 + UNSTEADY_TOLERANCE)

    @cached_property
    def average_bandwidth(self) -> float:
        """Bits per second over the whole playlist, as RFC 8216 4.1 measures them."""
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
class Board:
    """A storyboard: its cues, and the sizes of the pictures that they name."""

    path: str
    cues: tuple[Cue, ...] = ()
    problem: CuesError | None = None
    sizes: dict[str, tuple[int, int]] = field(
        default_factory=dict
    )  # by the cues' URI; unread ones are missing
    spoilt: list[tuple[str, PictureError]] = field(default_factory=list)  # (path, why it has no size)


@dataclass(frozen=True, slots=True)
class Answer:
    """How HTTP answered, without the body."""

    status: int
    headers: Mapping[str, str]
    size: int  # of the body, uncompressed


@dataclass(slots=True)
class Presentation:
    """Everything the rules may look at. What could not be had or parsed is listed, not raised."""

    master_path: str
    master: MasterPlaylist | None = None
    tracks: dict[str, Track] = field(default_factory=dict)  # by path
    variant_tracks: list[tuple[Variant, Track]] = field(default_factory=list)
    iframe_tracks: list[tuple[Variant, Track]] = field(default_factory=list)
    audio_tracks: dict[str, list[Track | None]] = field(default_factory=dict)  # None is in the variant
    boards: list[Board] = field(default_factory=list)
    unparsed: list[tuple[str, str]] = field(default_factory=list)  # (where, why)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    escaping: list[tuple[str, str]] = field(default_factory=list)
    referenced: dict[str, str] = field(default_factory=dict)  # path → where it is named first
    over_http: bool = False
    answers: dict[str, Answer] = field(default_factory=dict)  # by path
    probes: dict[str, tuple[str, Answer]] = field(
        default_factory=dict
    )  # by what was asked, "206", "304" or "404": (path, answer)
    files: frozenset[str] | None = None

    def sound_of(self, variant: Variant, track: Track) -> list[Track]:
        """The tracks a variant's sound may come from: those of its group, or itself."""
        return [sound or track for sound in self.audio_tracks.get(variant.audio, [None])]
