"""A whole HLS tree as the rules look at it: playlists parsed, segments measured, answers remembered."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gostream_shared.conformance.errors import CuesError, MalformedError, PictureError
from gostream_shared.conformance.playlist import MasterPlaylist, MediaPlaylist, Segment, Variant
from gostream_shared.conformance.segment import AudioMeasure, SegmentMeasure, VideoMeasure
from gostream_shared.conformance.webvtt import Cue

MAX_WINDOW = 100  # segments in one stretch when the peak is looked for; hostile lists have zero durations


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


@dataclass(slots=True)
class Track:
    """One media playlist and its segments."""

    kind: Kind
    path: str
    playlist: MediaPlaylist | None = None
    pieces: list[Piece] = field(default_factory=list)

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

    @property
    def average_bandwidth(self) -> float:
        """Bits per second over the whole playlist, as RFC 8216 4.1 measures them."""
        duration = sum(piece.segment.duration for piece in self.pieces)
        return sum(piece.size for piece in self.pieces) * 8 / duration if duration else 0.0

    @property
    def peak_bandwidth(self) -> float:
        """The highest bit rate of any run of segments that lasts 0.5 to 1.5 target durations."""
        target = self.playlist.target_duration if self.playlist else 0
        peak = 0.0
        for start in range(len(self.pieces)):
            size, duration = 0, 0.0
            for piece in self.pieces[start : start + MAX_WINDOW]:
                size += piece.size
                duration += piece.segment.duration
                if duration > 1.5 * target:
                    break
                if duration >= 0.5 * target and duration > 0:
                    peak = max(peak, size * 8 / duration)
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
    audio_tracks: dict[str, list[Track]] = field(default_factory=dict)  # by group
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
        return self.audio_tracks.get(variant.audio, []) if variant.audio else [track]
