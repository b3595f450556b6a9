"""How a picture is turned before it is shown, by the matrix that its container has for it."""

import math
import struct
from collections.abc import Mapping, Sequence
from typing import cast

from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame

#: Degrees that ffmpeg lets a quarter turn be off; others it tilts within the size that is stored.
_OFF = 1.0


def display_matrix(frame: VideoFrame) -> tuple[int, ...]:
    """Nine numbers, row by row; none for a picture that is shown as it is."""
    sides = cast("Mapping[str, SideData]", frame.side_data)  # PyAV's types know but one kind
    found = sides.get("DISPLAYMATRIX")
    return struct.unpack("=9i", bytes(found)) if found else ()


def rotation_of(matrix: Sequence[int]) -> tuple[int, bool]:
    """Degrees clockwise, a multiple of 90, and whether that is all: not of what is mirrored or tilted."""
    if not matrix:
        return 0, True
    right, down, left, up = matrix[0], matrix[1], matrix[3], matrix[4]
    angle = math.degrees(math.atan2(down, right)) % 360
    quarters = round(angle / 90)
    is_mirrored = right * up - down * left < 0
    if abs(angle - quarters * 90) >= _OFF:
        return 0, False
    return quarters % 4 * 90, not is_mirrored
