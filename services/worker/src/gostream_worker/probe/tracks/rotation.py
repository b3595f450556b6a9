"""Rotation of a picture for display, from the container's display matrix."""

import math
import struct
from collections.abc import Mapping, Sequence
from typing import cast

from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame

#: Tolerance of ffmpeg in degrees for quarter turns. Other angles are tilted within the stored size.
_OFF = 1.0


def display_matrix(frame: VideoFrame) -> tuple[int, ...]:
    """Returns nine numbers, row by row; () for a picture without a matrix."""
    sides = cast("Mapping[str, SideData]", frame.side_data)  # PyAV's types cover only one kind
    found = sides.get("DISPLAYMATRIX")
    return struct.unpack("=9i", bytes(found)) if found else ()


def rotation_of(matrix: Sequence[int]) -> tuple[int, bool]:
    """Returns (degrees clockwise, is_pure_rotation).

    Degrees are a multiple of 90. Mirrored or tilted pictures are no pure rotation.
    """
    if not matrix:
        return 0, True
    right, down, left, up = matrix[0], matrix[1], matrix[3], matrix[4]
    angle = math.degrees(math.atan2(down, right)) % 360
    quarters = round(angle / 90)
    is_mirrored = right * up - down * left < 0
    if abs(angle - quarters * 90) >= _OFF:
        return 0, False
    return quarters % 4 * 90, not is_mirrored
