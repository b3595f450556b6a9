"""The content of RFC 8216 playlists."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gostream_conformance.formats.codecs import is_sound


@dataclass(frozen=True, slots=True)
class ByteRange:
    offset: int
    size: int

    @property
    def end(self) -> int:
        """The offset after the last byte."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class Variant:
    """EXT-X-STREAM-INF or EXT-X-I-FRAME-STREAM-INF."""

    line: int
    uri: str
    bandwidth: int
    average_bandwidth: int | None
    codecs: tuple[str, ...]
    resolution: tuple[int, int] | None
    frame_rate: float | None
    groups: Mapping[str, str]  # GROUP-ID by TYPE
    denies_captions: bool = False  # CLOSED-CAPTIONS=NONE

    @property
    def audio(self) -> str:
        """The GROUP-ID of its audio, or empty."""
        return self.groups.get("AUDIO", "")

    @property
    def audio_only(self) -> bool:
        return bool(self.codecs) and all(map(is_sound, self.codecs))


@dataclass(frozen=True, slots=True)
class Rendition:
    """EXT-X-MEDIA."""

    line: int
    kind: str  # AUDIO, VIDEO, SUBTITLES, CLOSED-CAPTIONS
    group: str
    name: str
    uri: str  # empty when the rendition is inside the variants
    default: bool
    autoselect: bool = False
    forced: bool = False
    language: str = ""
    characteristics: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Key:
    """EXT-X-KEY or EXT-X-SESSION-KEY."""

    line: int
    method: str
    uri: str  # empty with METHOD=NONE


@dataclass(slots=True)
class MasterPlaylist:
    version: int = 1
    independent_segments: bool = False
    variants: list[Variant] = field(default_factory=list)
    iframes: list[Variant] = field(default_factory=list)
    renditions: list[Rendition] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Segment:
    line: int
    uri: str
    duration: float
    byte_range: ByteRange | None
    map: tuple[str, ByteRange | None] | None
    discontinuity: bool


@dataclass(slots=True)
class MediaPlaylist:
    version: int = 1
    target_duration: int = 0
    kind: str = ""  # EXT-X-PLAYLIST-TYPE
    ended: bool = False
    iframes_only: bool = False
    independent_segments: bool = False
    needed_version: int = 1
    segments: list[Segment] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)

    @property
    def duration(self) -> float:
        return sum(segment.duration for segment in self.segments)

    @property
    def unsupported(self) -> str:
        """The declared feature that prevents measuring the segments; empty if there is none."""
        return "encrypted" if any(key.method != "NONE" for key in self.keys) else ""
