"""Reads sample entries from the index of an MP4 or MOV file. Pure."""

from collections.abc import Sequence

from gostream_worker.probe.timing.last_fragment import inner_boxes

_WAY_TO_ENTRIES = (b"mdia", b"minf", b"stbl", b"stsd")
#: Bytes before the entries of stsd, and before the boxes of a video entry.
_ENTRIES, _PICTURE = 8, 78
#: Bytes before the boxes of an audio entry, by version (QuickTime, "Sound Sample Description").
_SOUND = {0: 28, 1: 44, 2: 64}
#: Position of that version.
_VERSION = slice(8, 10)


def picture_boxes(index: bytes, track: int) -> dict[bytes, bytes]:
    """Returns the boxes of a video track's first entry, by kind; {} without such a track."""
    return dict(inner_boxes(_entry(index, track)[_PICTURE:]))


def sound_boxes(index: bytes, track: int) -> dict[bytes, bytes]:
    """Returns the boxes of an audio track's first entry, by kind."""
    entry = _entry(index, track)
    start = _SOUND.get(int.from_bytes(entry[_VERSION], "big"), len(entry))
    return dict(inner_boxes(entry[start:]))


def track_box(index: bytes, track: int, way: Sequence[bytes]) -> bytes:
    """Returns the content of a track's box, given the kinds of boxes on the way; b"" without it."""
    for kind, found in inner_boxes(index):
        if kind == b"trak" and _number(_inner(found, b"tkhd")) == track:
            content = found
            for name in way:
                content = _inner(content, name)
            return content
    return b""


def _entry(index: bytes, track: int) -> bytes:
    entries = track_box(index, track, _WAY_TO_ENTRIES)[_ENTRIES:]
    return next((data for _, data in inner_boxes(entries)), b"")


def _inner(content: bytes, name: bytes) -> bytes:
    return next((data for kind, data in inner_boxes(content) if kind == name), b"")


def _number(header: bytes) -> int:
    """Returns the track's number, which follows the times; these are longer in version 1."""
    at = 20 if header[:1] == b"\x01" else 12
    return int.from_bytes(header[at : at + 4], "big")
