"""How a container has its picture cropped before it is shown, as ffmpeg reads it. Pure."""

import struct
from fractions import Fraction

from gostream_worker.probe.mp4.sample_entries import picture_boxes


def cropped(index: bytes, track: int, size: tuple[int, int]) -> tuple[int, int]:
    """What is left of a picture of that size; all of it unless the track has a clean aperture within it."""
    aperture = picture_boxes(index, track).get(b"clap", b"")
    if len(aperture) < 32:
        return size
    values = struct.unpack(">IIIIiIiI", aperture[:32])
    if not all(values[1::2]):
        return size
    wide, high, right, down = (Fraction(*pair) for pair in zip(values[::2], values[1::2], strict=True))
    return _kept(size[0], wide, right), _kept(size[1], high, down)


def trimmed(borders: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int]:
    """What is left without borders of so many pixels (left, top, right, bottom).

    All of it if they leave nothing, as ffmpeg has it.
    """
    left, top, right, bottom = borders
    width, height = size[0] - left - right, size[1] - top - bottom
    return (width, height) if width > 0 and height > 0 else size


def _kept(whole: int, part: Fraction, offset: Fraction) -> int:
    """Pixels from the first to the last one of a part whose middle is that far from the middle of all."""
    middle = Fraction(whole - 1, 2) + offset
    first, last = middle - (part - 1) / 2, middle + (part - 1) / 2
    return int(last) - int(first) + 1 if 0 <= first <= last <= whole - 1 else whole
