"""Reads the size of a JPEG and checks that it is complete, by its markers, without decoding pixels."""

import re

from gostream_conformance.errors import PictureError

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
#: SOF0 to SOF15 without DHT, JPG and DAC, whose numbers are in that range.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})  # without a length
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # among coded pixels: no stuffing, no restart


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Returns width and height in pixels of a complete JPEG. Raises PictureError."""
    if data[:2] != bytes((0xFF, _START)):
        raise PictureError("not a JPEG")
    at, size = 2, None
    while at + 2 <= len(data):
        if data[at] != 0xFF:
            raise PictureError("a marker is missing", offset=at)
        marker = data[at + 1]
        if marker == _END:
            if size is None:
                raise PictureError("no frame header", offset=at)
            return size
        if marker in _FRAMES:
            size = _size(data, at)
        at += _length(data, at)
        if marker == _SCAN:
            at = _after_scan(data, at)
    raise PictureError("the end is missing", offset=len(data))


def _after_scan(data: bytes, at: int) -> int:
    """Returns the offset of the next marker after coded pixels."""
    found = _MARKER.search(data, at)
    return found.start() if found else len(data)


def _length(data: bytes, at: int) -> int:
    """Returns the number of bytes to the next marker."""
    if data[at + 1] == 0xFF:  # fill
        return 1
    if data[at + 1] in _BARE:
        return 2
    size = int.from_bytes(data[at + 2 : at + 4], "big")
    if size < 2:
        raise PictureError("a segment without a length", offset=at)
    return 2 + size


def _size(data: bytes, at: int) -> tuple[int, int]:
    header = data[at + 5 : at + 9]
    height, width = int.from_bytes(header[:2], "big"), int.from_bytes(header[2:], "big")
    if len(header) < 4 or not width or not height:
        raise PictureError("a frame without a size", offset=at)
    return width, height
