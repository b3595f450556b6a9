"""Inserts boxes into MOV files and enlarges every enclosing box."""

import struct
from collections.abc import Iterator

_WAY_TO_REFERENCES = (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref")


def insert_alias(data: bytes, path: str) -> bytes:
    """Replaces the first track's data reference by an alias to the file at `path`.

    The index must be at the end of the file; otherwise the samples would move.
    """
    *enclosing, (start, end) = descend(data, _WAY_TO_REFERENCES)
    references = struct.pack(">I4sII", 0, b"dref", 0, 1) + _alias(path)
    changed = bytearray(data[:start] + references + data[end:])
    changed[start : start + 4] = struct.pack(">I", len(references))
    growth = len(references) - (end - start)
    for offset, stop in enclosing:
        changed[offset : offset + 4] = struct.pack(">I", stop - offset + growth)
    return bytes(changed)


def descend(data: bytes, way: tuple[bytes, ...]) -> Iterator[tuple[int, int]]:
    """Returns (begin, end) of each box on the path."""
    offset, end = 0, len(data)
    for name in way:
        while data[offset + 4 : offset + 8] != name:
            offset += int.from_bytes(data[offset : offset + 4], "big")
            assert offset < end, name
        end = offset + int.from_bytes(data[offset : offset + 4], "big")
        yield offset, end
        offset += 8


def _alias(path: str) -> bytes:
    """A Macintosh alias record: volume, file name, and an absolute path that an unsafe reader opens."""
    name = path.rpartition("/")[2].encode()
    whole = path.encode() + b"\0" * (len(path) % 2)
    record = bytes(10) + _pascal(b"disk", 27) + bytes(12) + _pascal(name, 63) + bytes(16)
    record += struct.pack(">hh", 1, 1) + bytes(16)
    record += struct.pack(">HH", 2, len(path)) + whole + struct.pack(">hH", -1, 0)
    return struct.pack(">I4sI", 12 + len(record), b"alis", 0) + record


def _pascal(value: bytes, room: int) -> bytes:
    return bytes([min(len(value), room)]) + value[:room].ljust(room, b"\0")


#: Bytes in front of what boxes hold. Sample entries for sound are of version 0, `lpcm` of version 2.
_WITHIN = {
    **dict.fromkeys((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta"), 8),
    b"stsd": 16,
    **dict.fromkeys((b"avc1", b"hvc1", b"hev1", b"dvh1"), 86),
    **dict.fromkeys((b"sowt", b"mp4a", b"Opus"), 36),
    b"lpcm": 72,
}


def insert(data: bytes, at: int, box: bytes) -> bytes:
    """Put a box between two others.

    The index must be at the end of the file, or the samples would move.
    """
    changed = bytearray(data)
    for start in _enclosing(data, at):
        size = int.from_bytes(data[start : start + 4], "big")
        changed[start : start + 4] = struct.pack(">I", size + len(box))
    changed[at:at] = box
    return bytes(changed)


def _enclosing(data: bytes, at: int) -> Iterator[int]:
    """Where the boxes begin that hold that place, or end with it."""
    offset, end = 0, len(data)
    while offset + 8 <= end:
        kind, stop = data[offset + 4 : offset + 8], offset + int.from_bytes(data[offset : offset + 4], "big")
        if offset < at <= stop and kind in _WITHIN:
            yield offset
            offset, end = offset + _WITHIN[kind], stop
        else:
            assert stop > offset, kind
            offset = stop
