"""How large a JPEG is, from its frame header alone."""

from gostream_shared.conformance.errors import PictureError

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
#: SOF0 to SOF15 without DHT, JPG and DAC, which have numbers among theirs.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})  # without a length


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels. Raises PictureError."""
    if data[:2] != bytes((0xFF, _START)):
        raise PictureError("no JPEG")
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise PictureError("no marker where one must be", offset=at)
        marker = data[at + 1]
        if marker in _FRAMES:
            return _size(data, at)
        if marker in (_SCAN, _END):
            break
        at += _length(data, at)
    raise PictureError("no frame header", offset=at)


def _length(data: bytes, at: int) -> int:
    """Bytes to the next marker."""
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
