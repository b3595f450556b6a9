"""The storyboard: pictures at even distances on one sheet, which players show above their seek bar."""

from dataclasses import dataclass
from datetime import timedelta

from gostream_worker.object_names import SHEET
from gostream_worker.plan.plan import Plan

MAX_TILES = 100
_MAX_COLUMNS = 10
_MAX_SIDE = 192
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Storyboard:
    """A sheet of tiles, row by row. `width` and `height` in pixels of one tile, every `step` frames."""

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
    """A tile a second, or fewer: the sheet is no larger for a longer video."""
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


def cues(board: Storyboard, *, frames: int, duration: timedelta) -> str:
    """WebVTT that says which part of the sheet shows which time of a video of so many frames.

    A video may turn out shorter or longer than planned: tiles that were not filled are not named, and the
    last one stands for all that is left.
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
