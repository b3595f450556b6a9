"""Parses RFC 8216 playlists strictly: deviations that lenient players accept are errors."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import TypeVar

from gostream_conformance.errors import PlaylistError
from gostream_conformance.playlist.model import (
    ByteRange,
    Key,
    MasterPlaylist,
    MediaPlaylist,
    Rendition,
    Segment,
    Variant,
)

MAX_LINES = 200_000
MAX_ENTRIES = 256  # of a master: every variant is checked with every rendition of its group
HIGHEST_VERSION = 13  # of the drafts after RFC 8216, which has 7; players reject unknown versions
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_METHODS = frozenset({"NONE", "AES-128", "SAMPLE-AES"})
_CAPTIONS = "CLOSED-CAPTIONS"
_GROUPS = ("AUDIO", "VIDEO", "SUBTITLES", _CAPTIONS)
_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s][^",\r\n]*)(?:,|$)')
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?")
_MASTER_TAGS = frozenset(
    {"EXT-X-MEDIA", "EXT-X-STREAM-INF", "EXT-X-I-FRAME-STREAM-INF", "EXT-X-SESSION-DATA", "EXT-X-SESSION-KEY"}
)
_MEDIA_TAGS = frozenset(
    {
        *("EXTINF", "EXT-X-BYTERANGE", "EXT-X-DISCONTINUITY", "EXT-X-KEY", "EXT-X-MAP"),
        *("EXT-X-PROGRAM-DATE-TIME", "EXT-X-DATERANGE", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE"),
        *("EXT-X-DISCONTINUITY-SEQUENCE", "EXT-X-ENDLIST", "EXT-X-PLAYLIST-TYPE", "EXT-X-I-FRAMES-ONLY"),
    }
)
_ENTRIES = frozenset({"EXT-X-MEDIA", "EXT-X-STREAM-INF", "EXT-X-I-FRAME-STREAM-INF"})
_ONCE = frozenset(
    {
        *("EXT-X-VERSION", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE"),
        *("EXT-X-ENDLIST", "EXT-X-PLAYLIST-TYPE", "EXT-X-I-FRAMES-ONLY", "EXT-X-INDEPENDENT-SEGMENTS"),
    }
)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    tag: str  # without "#", empty for a URI
    value: str

    def wrong(self, message: str) -> PlaylistError:
        return PlaylistError(f"{self.tag}: {message}" if self.tag else message, line=self.number)


def parse_master(data: bytes) -> MasterPlaylist:
    """Parse a master playlist. Raises PlaylistError at the first error."""
    master = MasterPlaylist()
    pending: tuple[_Line, Mapping[str, str]] | None = None
    entries = 0
    for line in _lines(data, forbidden=_MEDIA_TAGS, kind="media"):
        if pending and line.tag and line.tag in _MASTER_TAGS:
            raise line.wrong("comes before the URI of the preceding EXT-X-STREAM-INF")
        entries += line.tag in _ENTRIES
        if entries > MAX_ENTRIES:
            raise line.wrong(f"more than {MAX_ENTRIES} variants and renditions")
        if not line.tag:
            if not pending:
                raise line.wrong("a URI without EXT-X-STREAM-INF")
            master.variants.append(_variant(*pending, line.value))
            pending = None
        elif line.tag == "EXT-X-STREAM-INF":
            pending = line, _attributes(line)
        elif line.tag == "EXT-X-I-FRAME-STREAM-INF":
            attributes = _attributes(line)
            master.iframes.append(_variant(line, attributes, _uri(line, attributes)))
        elif line.tag == "EXT-X-MEDIA":
            master.renditions.append(_rendition(line, _attributes(line)))
        elif line.tag == "EXT-X-SESSION-KEY":
            master.keys.append(key := _key(line, _attributes(line)))
            if key.method == "NONE":
                raise line.wrong("METHOD must not be NONE")
        elif line.tag == "EXT-X-INDEPENDENT-SEGMENTS":
            master.independent_segments = True
        elif line.tag == "EXT-X-VERSION":
            master.version = _version(line)
    if pending:
        raise pending[0].wrong("has no URI after it")
    if not master.variants:
        raise PlaylistError("a master playlist without a variant", line=1)
    return master


def parse_media(data: bytes) -> MediaPlaylist:
    """Parse a media playlist. Raises PlaylistError at the first error."""
    parser = _MediaParser()
    for line in _lines(data, forbidden=_MASTER_TAGS, kind="master"):
        parser.take(line)
    return parser.finish()


class _MediaParser:
    """The parser state between the lines of a media playlist."""

    def __init__(self) -> None:
        self.playlist = MediaPlaylist()
        self._extinf: tuple[_Line, float] | None = None
        self._range: _Line | None = None
        self._discontinuity: _Line | None = None
        self._map: tuple[str, ByteRange | None] | None = None
        self._ends: dict[str, int] = {}  # end of the last byte range by URI
        self._saw_target = False
        self._tags: dict[str, Callable[[_Line], None]] = {
            "EXTINF": self._take_extinf,
            "EXT-X-BYTERANGE": self._take_range,
            "EXT-X-MAP": self._take_map,
            "EXT-X-KEY": self._take_key,
            "EXT-X-DISCONTINUITY": self._take_discontinuity,
            "EXT-X-PROGRAM-DATE-TIME": self._take_date,
            "EXT-X-MEDIA-SEQUENCE": self._take_sequence,
            "EXT-X-DISCONTINUITY-SEQUENCE": self._take_sequence,
            "EXT-X-TARGETDURATION": self._take_target,
            "EXT-X-PLAYLIST-TYPE": self._take_kind,
            "EXT-X-VERSION": self._take_version,
        }
        self._flags = {
            "EXT-X-ENDLIST": "ended",
            "EXT-X-I-FRAMES-ONLY": "iframes_only",
            "EXT-X-INDEPENDENT-SEGMENTS": "independent_segments",
        }

    def take(self, line: _Line) -> None:
        if not line.tag:
            self._take_uri(line)
        elif line.tag in self._flags:
            setattr(self.playlist, self._flags[line.tag], True)
            self._needs(4 if line.tag == "EXT-X-I-FRAMES-ONLY" else 1)
        elif take := self._tags.get(line.tag):
            take(line)

    def finish(self) -> MediaPlaylist:
        if unused := self._extinf[0] if self._extinf else self._range or self._discontinuity:
            raise unused.wrong("has no URI after it")
        if not self._saw_target:
            raise PlaylistError("a media playlist without EXT-X-TARGETDURATION", line=1)
        if not self.playlist.segments:
            raise PlaylistError("a media playlist without a segment", line=1)
        if self._map:
            self._needs(5 if self.playlist.iframes_only else 6)
        return self.playlist

    def _needs(self, version: int) -> None:
        self.playlist.needed_version = max(self.playlist.needed_version, version)

    def _take_uri(self, line: _Line) -> None:
        if not self._extinf:
            raise line.wrong("a URI without EXTINF")
        byte_range = None
        if self._range:
            byte_range = _byte_range(self._range, self._range.value, self._ends.get(line.value))
            self._ends[line.value] = byte_range.offset + byte_range.size
        discontinuity = self._discontinuity is not None
        self.playlist.segments.append(
            Segment(line.number, line.value, self._extinf[1], byte_range, self._map, discontinuity)
        )
        self._extinf = self._range = self._discontinuity = None

    def _take_extinf(self, line: _Line) -> None:
        number, comma, _ = line.value.partition(",")
        if self._extinf or not comma or not _NUMBER.fullmatch(number):
            raise line.wrong("must be a duration and a comma, followed by a URI")
        self._extinf = line, float(number)
        self._needs(3 if "." in number else 1)

    def _take_range(self, line: _Line) -> None:
        if self._range:
            raise line.wrong("appears twice for one segment")
        self._range = line
        self._needs(4)

    def _take_discontinuity(self, line: _Line) -> None:
        self._discontinuity = line

    def _take_date(self, line: _Line) -> None:
        day, _, hours = line.value.partition("T")
        try:
            date.fromisoformat(day)
            time.fromisoformat(hours)
        except ValueError:
            raise line.wrong("must be a date and time of ISO 8601") from None

    def _take_sequence(self, line: _Line) -> None:
        _integer(line, digits=20)
        if self.playlist.segments:
            raise line.wrong("must come before the first segment")

    def _take_map(self, line: _Line) -> None:
        attributes = _attributes(line)
        text = attributes.get("BYTERANGE", "").strip('"')
        self._map = (
            _uri(line, attributes),
            _byte_range(line, text, 0) if text else None,
        )

    def _take_key(self, line: _Line) -> None:
        attributes = _attributes(line)
        self.playlist.keys.append(_key(line, attributes))
        self._needs(
            5 if {"KEYFORMAT", "KEYFORMATVERSIONS"} & attributes.keys() else 2 if "IV" in attributes else 1
        )

    def _take_target(self, line: _Line) -> None:
        self.playlist.target_duration = _integer(line)
        self._saw_target = True

    def _take_kind(self, line: _Line) -> None:
        if line.value not in {"VOD", "EVENT"}:
            raise line.wrong("must be VOD or EVENT")
        self.playlist.kind = line.value

    def _take_version(self, line: _Line) -> None:
        self.playlist.version = _version(line)


def _lines(data: bytes, *, forbidden: frozenset[str], kind: str) -> Iterator[_Line]:
    """Yield tags and URIs. Skips comments and blank lines and accepts unknown tags, as RFC 8216 requires."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise PlaylistError("not UTF-8", line=1) from None
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0] != "#EXTM3U":
        raise PlaylistError("does not start with #EXTM3U", line=1)
    if len(lines) > MAX_LINES:
        raise PlaylistError(f"more than {MAX_LINES} lines", line=MAX_LINES)
    seen: set[str] = set()
    for number, raw in enumerate(lines[1:], start=2):
        if _CONTROL.search(raw):
            raise PlaylistError("a control character", line=number)
        if not raw or (raw.startswith("#") and not raw.startswith("#EXT")):
            continue
        name, _, value = raw[1:].partition(":")
        line = _Line(number, name, value) if raw.startswith("#") else _Line(number, "", raw)
        if not line.tag and raw != raw.strip():
            raise line.wrong("blanks around a URI")
        if line.tag in forbidden:
            raise line.wrong(f"a tag of {kind} playlists")
        if line.tag in _ONCE and line.tag in seen:
            raise line.wrong("appears twice")
        seen.add(line.tag)
        yield line


def _attributes(line: _Line) -> dict[str, str]:
    """Returns the attributes with their values as written. Raises PlaylistError."""
    found: dict[str, str] = {}
    at = 0
    while at < len(line.value):
        match = _ATTRIBUTE.match(line.value, at)
        if not match or line.value.endswith(",") or match[1] in found:
            raise line.wrong(f"the attribute list is invalid after {len(found)} attributes")
        found[match[1]] = match[2]
        at = match.end()
    return found


def _quoted(line: _Line, attributes: Mapping[str, str], name: str) -> str:
    value = attributes.get(name, "")
    if len(value) < 3 or not value.startswith('"'):
        raise line.wrong(f"{name} is missing or not a quoted string")
    return value[1:-1]


def _uri(line: _Line, attributes: Mapping[str, str]) -> str:
    uri = _quoted(line, attributes, "URI")
    if uri != uri.strip():
        raise line.wrong("blanks around a URI")
    return uri


def _optional(
    line: _Line, attributes: Mapping[str, str], name: str, pattern: str, convert: Callable[[str], Value]
) -> Value | None:
    if name not in attributes:
        return None
    if not re.fullmatch(pattern, attributes[name]):
        raise line.wrong(f"{name}={attributes[name]} is not allowed")
    return convert(attributes[name])


def _variant(line: _Line, attributes: Mapping[str, str], uri: str) -> Variant:
    bandwidth = _optional(line, attributes, "BANDWIDTH", "[0-9]{1,18}", int)
    if bandwidth is None:
        raise line.wrong("BANDWIDTH is missing")
    codecs = _quoted(line, attributes, "CODECS").split(",") if "CODECS" in attributes else []
    denies_captions = attributes.get(_CAPTIONS) == "NONE"
    return Variant(
        line=line.number,
        uri=uri,
        bandwidth=bandwidth,
        average_bandwidth=_optional(line, attributes, "AVERAGE-BANDWIDTH", "[0-9]{1,18}", int),
        codecs=tuple(codec.strip() for codec in codecs),
        resolution=_optional(line, attributes, "RESOLUTION", "[0-9]{1,6}x[0-9]{1,6}", _resolution),
        frame_rate=_optional(line, attributes, "FRAME-RATE", _NUMBER.pattern, float),
        groups={
            kind: _quoted(line, attributes, kind)
            for kind in _GROUPS
            if kind in attributes and not (kind == _CAPTIONS and denies_captions)
        },
        denies_captions=denies_captions,
    )


def _resolution(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


def _rendition(line: _Line, attributes: Mapping[str, str]) -> Rendition:
    kind = attributes.get("TYPE", "")
    if kind not in _GROUPS:
        raise line.wrong("TYPE is missing or unknown")
    for name in ("DEFAULT", "AUTOSELECT", "FORCED"):
        _optional(line, attributes, name, "YES|NO", str)
    if attributes.get("DEFAULT") == "YES" and attributes.get("AUTOSELECT") == "NO":
        raise line.wrong("AUTOSELECT=NO with DEFAULT=YES")
    if kind == "SUBTITLES" and "URI" not in attributes:
        raise line.wrong("URI is missing")
    if kind == _CAPTIONS and "URI" in attributes:
        raise line.wrong("closed captions have no URI")
    if (kind == _CAPTIONS) != ("INSTREAM-ID" in attributes):
        raise line.wrong("closed captions need INSTREAM-ID, and other types must not have it")
    return Rendition(
        line=line.number,
        kind=kind,
        group=_quoted(line, attributes, "GROUP-ID"),
        name=_quoted(line, attributes, "NAME"),
        uri=_uri(line, attributes) if "URI" in attributes else "",
        default=attributes.get("DEFAULT") == "YES",
        autoselect=attributes.get("AUTOSELECT") == "YES",
        forced=attributes.get("FORCED") == "YES",
        language=_quoted(line, attributes, "LANGUAGE") if "LANGUAGE" in attributes else "",
        characteristics=frozenset(
            _quoted(line, attributes, "CHARACTERISTICS").split(",") if "CHARACTERISTICS" in attributes else ()
        ),
    )


def _key(line: _Line, attributes: Mapping[str, str]) -> Key:
    method = attributes.get("METHOD", "")
    if method not in _METHODS:
        raise line.wrong("METHOD is missing or unknown")
    if method == "NONE" and len(attributes) > 1:
        raise line.wrong("METHOD=NONE with other attributes")
    _optional(line, attributes, "IV", "0[xX][0-9A-Fa-f]{1,32}", str)
    return Key(line.number, method, "" if method == "NONE" else _uri(line, attributes))


def _integer(line: _Line, *, digits: int = 9) -> int:
    if not re.fullmatch(f"[0-9]{{1,{digits}}}", line.value):
        raise line.wrong("must be a whole number")
    return int(line.value)


def _version(line: _Line) -> int:
    version = _integer(line)
    if not 1 <= version <= HIGHEST_VERSION:
        raise line.wrong("unknown version")
    return version


def _byte_range(line: _Line, text: str, default_offset: int | None) -> ByteRange:
    match = re.fullmatch("([0-9]{1,15})(?:@([0-9]{1,15}))?", text)
    if not match or (match[2] is None and default_offset is None):
        raise line.wrong(f"invalid byte range {text!r}")
    return ByteRange(int(match[2]) if match[2] is not None else default_offset or 0, int(match[1]))
