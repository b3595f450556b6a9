"""A recording in fragments whose recorder was killed: it is read up to the last whole fragment. Pure."""

from collections.abc import Sequence

from gostream_worker.probe.signature import Box
from gostream_worker.probe.timing.last_fragment import MOST_MARKS, boxes_from


def whole_by_boxes(boxes: Sequence[Box], size: int) -> int:
    """Bytes before the last fragment if it is cut, else all. `boxes` are all boxes of the file."""
    begins = next((box.offset for box in reversed(boxes) if box.kind == b"moof"), size)
    is_cut = boxes[-1].kind == b"moof" or boxes[-1].offset + boxes[-1].length > size
    return begins if is_cut else size


def whole_by_tail(tail: bytes, size: int) -> int | None:
    """The same from the last bytes of the file; None if no fragment begins in them."""
    at = len(tail)
    for _ in range(MOST_MARKS):
        at = tail.rfind(b"moof", 0, at)
        if at < 0:
            return None
        if tail[at + 8 : at + 12] == b"mfhd":  # media data may hold the mark by chance
            begins = _cut_fragment(tail, at - 4)
            return size if begins is None else size - len(tail) + begins
    return None


def _cut_fragment(tail: bytes, at: int) -> int | None:
    """Where the last fragment begins, from a whole one on, if it or what follows it is cut.

    Trailing bytes are no fragment: players ignore them.
    """
    boxes = list(boxes_from(tail, at))
    kind, _, end = boxes[-1]
    is_cut = end > len(tail) or kind == b"moof"
    return max(begins for kind, begins, _ in boxes if kind == b"moof") if is_cut else None


def part_of(url: str, size: int) -> str:
    """The URL of the first bytes of that source, for libavformat; `subfile` must be on its list."""
    return f"subfile,,start,0,end,{size},,:{url}"
