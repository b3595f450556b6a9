"""Finds the complete part of a fragmented recording whose recorder was killed. Pure.

The source is read up to its last complete fragment.
"""

from collections.abc import Sequence

from gostream_worker.probe.signature import Box
from gostream_worker.probe.timing.last_fragment import MOST_MARKS, boxes_from


def whole_by_boxes(boxes: Sequence[Box], size: int) -> int:
    """Returns the bytes before the last fragment if it is cut off, else all.

    `boxes` are all boxes of the file.
    """
    begins = next((box.offset for box in reversed(boxes) if box.kind == b"moof"), size)
    is_cut = boxes[-1].kind == b"moof" or boxes[-1].offset + boxes[-1].length > size
    return begins if is_cut else size


def whole_by_tail(tail: bytes, size: int) -> int | None:
    """Returns the same from the last bytes of the file; None if no fragment begins in them."""
    at = len(tail)
    for _ in range(MOST_MARKS):
        at = tail.rfind(b"moof", 0, at)
        if at < 0:
            return None
        if tail[at + 8 : at + 12] == b"mfhd":  # media data may contain the mark by chance
            begins = _cut_fragment(tail, at - 4)
            return size if begins is None else size - len(tail) + begins
    return None


def _cut_fragment(tail: bytes, at: int) -> int | None:
    """Returns the offset of the last fragment if it or a later box is cut off. `at`: a complete fragment.

    Trailing bytes are not a fragment: players ignore them.
    """
    boxes = list(boxes_from(tail, at))
    if not boxes:  # a length below that of a box's header
        return None
    kind, _, end = boxes[-1]
    is_cut = end > len(tail) or kind == b"moof"
    return max(begins for kind, begins, _ in boxes if kind == b"moof") if is_cut else None


def part_of(url: str, size: int) -> str:
    """Returns libavformat's URL of the first bytes of that source. `subfile` must be allowed."""
    return f"subfile,,start,0,end,{size},,:{url}"
