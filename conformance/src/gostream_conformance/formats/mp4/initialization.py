"""Reads the initialization section: the tracks, their clocks and their codecs."""

from dataclasses import dataclass, field

from gostream_conformance.errors import FragmentError
from gostream_conformance.formats.aac import AacConfig, config_of
from gostream_conformance.formats.h264 import Sps, parse_sps
from gostream_conformance.formats.mp4.boxes import Box, Fields, boxes, child, needed

MAX_TRACKS = 32
_MAX_EDITS = 16
_VISUAL, _SOUND = 78, 28  # bytes of a sample entry before its boxes
_AAC = 0x40  # objectTypeIndication of MPEG-4 audio
_DESCRIPTORS = {3: 3, 4: 13}  # of an esds: bytes before the descriptors inside


@dataclass(frozen=True, slots=True)
class Defaults:
    """A trex: what fragments leave out."""

    duration: int
    size: int
    flags: int


@dataclass(frozen=True, slots=True)
class Picture:
    """The sample entry avc1 with its avcC."""

    size: tuple[int, int]  # as the sample entry says
    record: tuple[int, int, int]  # profile, compatibility and level of the avcC
    length_size: int  # bytes of the length before each NAL unit
    sets: tuple[tuple[bytes, Sps], ...]
    has_pps: bool


@dataclass(frozen=True, slots=True)
class FragmentTrack:
    """One trak. Neither `picture` nor `sound` is set if its codec cannot be read."""

    id: int
    timescale: int  # ticks a second
    shift: float  # seconds that the edit list moves the presentation
    entry: str  # the type of the sample entry
    picture: Picture | None = None
    sound: AacConfig | None = None
    samples: int = 0  # listed in the moov, where none belongs


@dataclass(frozen=True, slots=True)
class Initialization:
    """The initialization section of a media playlist."""

    tracks: dict[int, FragmentTrack] = field(default_factory=dict)
    defaults: dict[int, Defaults] = field(default_factory=dict)
    typed: bool = True  # ftyp comes first


def parse_initialization(data: bytes, end: int) -> Initialization | None:
    """Read the moov within the first `end` bytes. Returns None if there is none. Raises a MalformedError."""
    top = list(boxes(data, 0, end, top=True))
    moov = next((box for box in top if box.kind == b"moov"), None)
    if moov is None:
        return None
    scale = Fields(data, needed(data, moov, b"mvhd"))
    version, _ = scale.versioned()
    scale.take(16 if version else 8)
    movie = _timescale(scale, moov)
    found = Initialization(typed=top[0].kind == b"ftyp")
    for trak in (box for box in boxes(data, moov.body, moov.end) if box.kind == b"trak"):
        if len(found.tracks) >= MAX_TRACKS:
            raise FragmentError(f"more than {MAX_TRACKS} tracks", offset=trak.start)
        track = _track(data, trak, movie)
        if track.id in found.tracks:
            raise FragmentError(f"two tracks with the id {track.id}", offset=trak.start)
        found.tracks[track.id] = track
    for trex in boxes(data, (mvex := needed(data, moov, b"mvex")).body, mvex.end):
        if trex.kind == b"trex":
            fields = Fields(data, trex, skip=4)
            number = fields.number(4)
            fields.take(4)
            found.defaults[number] = Defaults(fields.number(4), fields.number(4), fields.number(4))
    return found


def _timescale(fields: Fields, box: Box) -> int:
    scale = fields.number(4)
    if not 0 < scale <= 1 << 31:
        raise FragmentError(f"a timescale of {scale}", offset=box.start)
    return scale


def _track(data: bytes, trak: Box, movie: int) -> FragmentTrack:
    header = Fields(data, needed(data, trak, b"tkhd"))
    version, _ = header.versioned()
    header.take(16 if version else 8)
    number = header.number(4)
    media = Fields(data, needed(data, trak, b"mdia", b"mdhd"))
    version, _ = media.versioned()
    media.take(16 if version else 8)
    timescale = _timescale(media, trak)
    table = needed(data, trak, b"mdia", b"minf", b"stbl")
    entry, picture, sound = _sample_entry(data, needed(data, table, b"stsd"))
    sizes = child(data, table, b"stsz")
    samples = Fields(data, sizes, skip=8).number(4) if sizes else 0
    return FragmentTrack(
        number, timescale, _shift(data, trak, movie, timescale), entry, picture, sound, samples
    )


def _shift(data: bytes, trak: Box, movie: int, timescale: int) -> float:
    """Returns the shift of an edit list: empty edits, then the rest of the media from one time on."""
    edits = child(data, trak, b"edts")
    listed = child(data, edits, b"elst") if edits else None
    if listed is None:
        return 0.0
    fields = Fields(data, listed)
    version, _ = fields.versioned()
    size, shift = (8 if version else 4), 0.0
    count = fields.number(4)
    if count > _MAX_EDITS:
        raise FragmentError(f"an edit list of {count} entries", offset=listed.start)
    for _ in range(count):
        length, begin = fields.number(size), fields.number(size, signed=True)
        fields.take(4)
        if begin >= 0:
            return shift - begin / timescale
        shift += length / movie
    return shift


def _sample_entry(data: bytes, table: Box) -> tuple[str, Picture | None, AacConfig | None]:
    entries = list(boxes(data, table.body + 8, table.end)) if table.end - table.body >= 8 else []
    if len(entries) != 1:
        raise FragmentError(f"{len(entries)} sample entries instead of one", offset=table.start)
    entry = entries[0]
    name = entry.kind.decode("latin-1")
    if entry.kind == b"avc1":
        return name, _picture(data, entry), None
    if entry.kind == b"mp4a":
        return name, None, _sound(data, entry)
    return name, None, None


def _inside(data: bytes, entry: Box, skip: int, kind: bytes) -> Box:
    if entry.end - entry.body < skip:
        raise FragmentError("a truncated sample entry", offset=entry.start)
    return needed(data, Box(entry.kind, entry.start, entry.body + skip, entry.end), kind)


def _picture(data: bytes, entry: Box) -> Picture:
    fields = Fields(data, _inside(data, entry, _VISUAL, b"avcC"), skip=1)
    record = (fields.number(1), fields.number(1), fields.number(1))
    length_size = (fields.number(1) & 3) + 1
    if length_size == 3:
        raise FragmentError("NAL units with lengths of 3 bytes", offset=entry.start)
    raw = [fields.take(fields.number(2)) for _ in range(fields.number(1) & 31)]
    sets = [(sps, parse_sps(sps)) for sps in raw]
    has_pps = fields.number(1) > 0
    head = Fields(data, entry, skip=24)
    return Picture((head.number(2), head.number(2)), record, length_size, tuple(sets), has_pps)


def _sound(data: bytes, entry: Box) -> AacConfig:
    fields = Fields(data, _inside(data, entry, _SOUND, b"esds"), skip=4)
    for tag in (3, 4, 5):
        found, size = fields.number(1), _length(fields)
        if found != tag or size > fields.left:
            raise FragmentError("an esds without an AudioSpecificConfig", offset=entry.start)
        if tag == 5:
            break
        head = fields.take(_DESCRIPTORS[tag])
        if tag == 3 and head[2] & 0xE0:
            raise FragmentError("an esds that refers to another stream", offset=entry.start)
        if tag == 4 and head[0] != _AAC:
            raise FragmentError(f"unsupported: sound of type 0x{head[0]:02x}", offset=entry.start)
    return config_of(fields.take(size))


def _length(fields: Fields) -> int:
    """Reads the length of a descriptor: at most four bytes of seven bits."""
    size = 0
    for _ in range(4):
        byte = fields.number(1)
        size = size << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return size
