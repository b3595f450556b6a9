"""The storyboard: pictures at regular intervals on one sheet, shown by players above the seek bar."""

import math
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

from gostream_worker.object_names import SHEET
from gostream_worker.plan.chunks import Chunk
from gostream_worker.plan.plan import Plan

MAX_TILES = 100
_MAX_COLUMNS = 10
_MAX_SIDE = 192
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Storyboard:
    """A sheet of tiles, row by row.

    `width` and `height` in pixels of one tile; one tile every `step` frames.
    """

    width: int
    height: int
    tiles: int
    step: int

    @property
    def columns(self) -> int:
        return min(self.tiles, _MAX_COLUMNS)

    @property
    def rows(self) -> int:
        return -(-self.tiles // self.columns)


def plan_storyboard(plan: Plan) -> Storyboard:
    """Returns a storyboard of one tile per second, or fewer, so that the sheet's size is bounded."""
    frames = max(1, round(plan.duration * plan.fps))
    step = max(1, round(plan.fps), -(-frames // MAX_TILES))
    smallest = plan.rungs[-1]
    scale = min(1.0, _MAX_SIDE / max(smallest.width, smallest.height))
    return Storyboard(
        width=_even(smallest.width * scale),
        height=_even(smallest.height * scale),
        tiles=max(1, round(frames / step)),
        step=step,
    )


def chunk_tiles(plan: Plan, chunk: Chunk) -> range:
    """Returns the numbers of the tiles that the chunk of picture makes."""
    board = plan_storyboard(plan)
    first = -(-chunk.start_frame // board.step)
    if chunk.frames is None:
        return range(first, max(first, board.tiles))
    after = -(-(chunk.start_frame + chunk.frames) // board.step)
    return range(first, max(first, min(after, board.tiles)))


def poster_frames(plan: Plan, chunk: Chunk) -> list[int]:
    """Returns the numbers of the frames that a chunk of picture writes as the poster, the best one last.

    The film's first frame is the poster of a film that ends before the wanted frame.
    """
    wanted = math.ceil(Fraction(f"{plan.poster_at:.3f}") * plan.fps)
    return sorted(frame for frame in {0, wanted} if chunk.has(frame))


def poster_chunks(plan: Plan) -> list[Chunk]:
    """Returns the chunks that make a poster, the best one first."""
    chunks = [chunk for chunk in plan.chunks if chunk.has_picture and poster_frames(plan, chunk)]
    return chunks[::-1]


def cues(board: Storyboard, *, frames: int, duration: timedelta) -> str:
    """Returns WebVTT that maps times of a video of `frames` frames to parts of the sheet.

    A video may be shorter or longer than planned: unfilled tiles get no cue, and the last tile covers the
    rest.
    """
    filled = min(board.tiles, -(-frames // board.step))
    length = duration // _MILLISECOND
    times = [length * board.step * tile // frames for tile in range(filled)] + [length]
    lines = ["WEBVTT", ""]
    for tile in range(filled):
        row, column = divmod(tile, board.columns)
        part = f"{column * board.width},{row * board.height},{board.width},{board.height}"
        lines += [f"{_clock(times[tile])} --> {_clock(times[tile + 1])}", f"{SHEET}#xywh={part}", ""]
    return "\n".join(lines)


def _clock(milliseconds: int) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{milliseconds:03d}"


def _even(pixels: float) -> int:
    return max(2, 2 * round(pixels / 2))
