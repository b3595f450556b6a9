"""Whether pictures are woven from two fields although nothing says so. Runs in the probing child."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from av.video.frame import VideoFrame

#: The field that is shown first, as ffmpeg's deinterlacers call it.
Parity = Literal["tff", "bff"]
#: Rows and columns that are looked at.
_ROWS, _COLUMNS = 32, 40
#: Moving pictures that are enough to say no, and to say yes.
_HINT, _FEWEST = 3, 5
#: A distance that is so many times another one shows motion, or that one field is nearer in time.
_MOTION, _NEARER = 1.2, 1.3
#: Part of the difference between the two orders by which the fields of one picture may differ from the nearer
#: ones. Progressive films, animation, credits and test patterns are beyond 1.9, woven pictures within 0.55.
_ALIKE, _HINT_ALIKE = 0.8, 1.5
#: Bytes of a sample by the format, of those whose first plane is brightness.
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
    """Between the two fields of one picture, and between fields of two pictures.

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
        """Fields of one picture that are as far apart as those of two are of different times.

        None of a picture without combs: both of its fields are of one time.
        """
        least, most = sorted((self.upper_first, self.lower_first))
        if most <= _NEARER * least or abs(self.same - least) > alike * (most - least):
            return None
        return "tff" if self.upper_first < self.lower_first else "bff"


def find_combs(frames: Sequence[VideoFrame]) -> Parity | None:
    """The parity if the pictures are combed, all alike; None if any is not, or too few move.

    Fine horizontal lines are no combs, however they move: the two fields of such a picture are of one time.
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


#: Triples of rows that follow each other, the middle one of either field in turn.
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
    """Of samples of ten bits, in two bytes each."""
    return bytes(high << 6 & 0xFF | low >> 2 for low, high in zip(lower, upper, strict=True))


def _distances(picture: _Picture, before: _Picture, after: _Picture) -> _Distances:
    """Of rows from those above and below, which are of the other field."""
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
