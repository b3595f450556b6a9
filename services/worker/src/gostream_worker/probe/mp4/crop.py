"""Cropping by the container before display, computed as ffmpeg does. Pure."""

import struct
from fractions import Fraction

from gostream_worker.probe.mp4.sample_entries import picture_boxes


def cropped(index: bytes, track: int, size: tuple[int, int]) -> tuple[int, int]:
    """Returns the size after the track's clean aperture; `size` if it has none within the picture."""
    aperture = picture_boxes(index, track).get(b"clap", b"")
    if len(aperture) < 32:
        return size
    values = struct.unpack(">IIIIiIiI", aperture[:32])
    if not all(values[1::2]):
        return size
    wide, high, right, down = (Fraction(*pair) for pair in zip(values[::2], values[1::2], strict=True))
    return _kept(size[0], wide, right), _kept(size[1], high, down)


def trimmed(borders: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Returns the size without borders of so many pixels (left, top, right, bottom).

    As in ffmpeg, returns `size` if the borders leave nothing.
    """
    left, top, right, bottom = borders
    width, height = size[0] - left - right, size[1] - top - bottom
    return (width, height) if width > 0 and height > 0 else size


def _kept(whole: int, part: Fraction, offset: Fraction) -> int:
    """Returns the pixels of a part whose centre has that offset from the centre of the picture."""
    middle = Fraction(whole - 1, 2) + offset
    first, last = middle - (part - 1) / 2, middle + (part - 1) / 2
    return int(last) - int(first) + 1 if 0 <= first <= last <= whole - 1 else whole
