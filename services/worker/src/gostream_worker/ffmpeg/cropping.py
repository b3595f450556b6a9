"""How an MP4 or MOV file has its picture cropped before it is shown, as ffmpeg reads its index. Pure."""

import struct
from fractions import Fraction

from gostream_worker.ffmpeg.tail import inner_boxes

_WAY_TO_ENTRIES = (b"mdia", b"minf", b"stbl", b"stsd")
#: Bytes before the entries of stsd, and before the boxes of a picture's entry.
_ENTRIES, _BOXES = 8, 78


def cropped(index: bytes, track: int, size: tuple[int, int]) -> tuple[int, int]:
    """What is left of a picture of that size; all of it unless the track has a clean aperture within it."""
    aperture = _aperture(index, track)
    if len(aperture) < 32:
        return size
    values = struct.unpack(">IIIIiIiI", aperture[:32])
    if not all(values[1::2]):
        return size
    wide, high, right, down = (Fraction(*pair) for pair in zip(values[::2], values[1::2], strict=True))
    return _kept(size[0], wide, right), _kept(size[1], high, down)


def _kept(whole: int, part: Fraction, offset: Fraction) -> int:
    """Pixels from the first to the last one of a part whose middle is that far from the middle of all."""
    middle = Fraction(whole - 1, 2) + offset
    first, last = middle - (part - 1) / 2, middle + (part - 1) / 2
    return int(last) - int(first) + 1 if 0 <= first <= last <= whole - 1 else whole


def _aperture(index: bytes, track: int) -> bytes:
    for kind, found in inner_boxes(index):
        if kind == b"trak" and _number(_inner(found, b"tkhd")) == track:
            content = found
            for name in _WAY_TO_ENTRIES:
                content = _inner(content, name)
            entry = next((data for _, data in inner_boxes(content[_ENTRIES:])), b"")
            return _inner(entry[_BOXES:], b"clap")
    return b""


def _inner(content: bytes, name: bytes) -> bytes:
    return next((data for kind, data in inner_boxes(content) if kind == name), b"")


def _number(header: bytes) -> int:
    """The track's: behind times that are longer in version 1."""
    at = 20 if header[:1] == b"\x01" else 12
    return int.from_bytes(header[at : at + 4], "big")
