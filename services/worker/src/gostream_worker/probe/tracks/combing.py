"""Detects pictures woven from two fields without being flagged. Runs in the probing child."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from av.video.frame import VideoFrame

#: The field that is shown first, with the names of ffmpeg's deinterlacers.
Parity = Literal["tff", "bff"]
#: Number of sampled rows and columns.
_ROWS, _COLUMNS = 32, 40
#: Moving pictures required for a negative and for a positive result.
_HINT, _FEWEST = 3, 5
#: Ratios of distances that indicate motion, and that one field is nearer in time.
_MOTION, _NEARER = 1.2, 1.3
#: Highest accepted distance between a picture's fields and the nearer fields, as a part of the difference
#: between the two orders. Progressive films, animation, credits and test patterns are above 1.9, woven
#: pictures below 0.55.
_ALIKE, _HINT_ALIKE = 0.8, 1.5
#: Bytes per sample of the formats whose first plane is luma.
_SAMPLES = {
    "yuv420p": 1,
    "yuvj420p": 1,
    "yuv422p": 1,
    "yuvj422p": 1,
    "yuv411p": 1,
    "yuv444p": 1,
    "yuv422p10le": 2,
    "yuv420p10le": 2,
}


@dataclass(frozen=True, slots=True)
class _Distances:
    """Distances between the two fields of one picture, and between fields of two pictures.

    `upper_first`: fields that are adjacent in time if the upper field is shown first; `lower_first` likewise.
    """

    same: int
    upper_first: int
    lower_first: int

    def __add__(self, other: "_Distances") -> "_Distances":
        return _Distances(
            self.same + other.same,
            self.upper_first + other.upper_first,
            self.lower_first + other.lower_first,
        )

    @property
    def moves(self) -> bool:
        least, most = sorted((self.upper_first, self.lower_first))
        return most > _MOTION * least or least > _MOTION * self.same

    def parity(self, alike: float) -> Parity | None:
        """Returns the parity if the fields of a picture are as far apart as fields of two pictures.

        Returns None for a picture without combs, whose fields are of one time.
        """
        least, most = sorted((self.upper_first, self.lower_first))
        if most <= _NEARER * least or abs(self.same - least) > alike * (most - least):
            return None
        return "tff" if self.upper_first < self.lower_first else "bff"


def find_combs(frames: Sequence[VideoFrame]) -> Parity | None:
    """Returns the parity if all pictures are combed; None if any is not, or if too few move.

    Fine horizontal lines are not combs, even if they move: both fields of such a picture are of one time.
    """
    pictures = [rows for frame in frames if (rows := _rows(frame))]
    total, moving = _Distances(0, 0, 0), 0
    for (before, picture), (_, after) in pairwise(pairwise(pictures)):
        distances = _distances(picture, before, after)
        if distances.moves:
            total, moving = total + distances, moving + 1
            if moving == _HINT and not total.parity(_HINT_ALIKE):
                return None
    return total.parity(_ALIKE) if moving >= _FEWEST else None


#: Triples of consecutive rows. The middle row alternates between the fields.
_Picture = list[tuple[bytes, bytes, bytes]]


def _rows(frame: VideoFrame) -> _Picture:
    width = _SAMPLES.get(frame.format.name)
    if not width or frame.height < 4 * _ROWS or frame.width < _COLUMNS:
        return []
    plane = frame.planes[0]
    data, pitch = memoryview(plane), plane.line_size
    step = max(1, frame.width // _COLUMNS) * width

    def row(number: int) -> bytes:
        start = number * pitch
        end = start + frame.width * width
        lower = bytes(data[start:end:step])
        return lower if width == 1 else _upper_eight(lower, bytes(data[start + 1 : end : step]))

    middles = range(1, frame.height - 2, frame.height // _ROWS | 1)
    return [(row(y - 1), row(y), row(y + 1)) for y in middles]


def _upper_eight(lower: bytes, upper: bytes) -> bytes:
    """Returns the upper eight bits of ten-bit samples, which are stored in two bytes each."""
    return bytes(high << 6 & 0xFF | low >> 2 for low, high in zip(lower, upper, strict=True))


def _distances(picture: _Picture, before: _Picture, after: _Picture) -> _Distances:
    """Compares rows with the rows above and below, which belong to the other field."""
    same, near = 0, [0, 0]
    for number, ((above, row, below), (_, earlier, _), (_, later, _)) in enumerate(
        zip(picture, before, after, strict=False)
    ):
        is_lower = number % 2 == 0
        for high, low, a, b, c in zip(above, below, row, earlier, later, strict=False):
            middle = high + low
            same += abs(middle - 2 * a)
            near[not is_lower] += abs(middle - 2 * b)
            near[is_lower] += abs(middle - 2 * c)
    return _Distances(same, *near)
