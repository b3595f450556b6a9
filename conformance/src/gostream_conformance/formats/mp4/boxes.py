"""Boxes of ISO/IEC 14496-12. Every size is checked against the bytes there are, before anything is read."""

from collections.abc import Iterator
from dataclasses import dataclass

from gostream_conformance.errors import FragmentError

#: Boxes of one level. A segment of an hour in fragments of 0.1 s has 72,000.
MAX_BOXES = 100_000
#: What a file of fragmented MP4 may begin with.
_FIRST = frozenset({b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"emsg", b"prft", b"free", b"skip", b"mdat"})


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its type, the start of its header and of its content, and its end."""

    kind: bytes
    start: int
    body: int
    end: int


def looks_fragmented(data: bytes) -> bool:
    """Returns whether bytes begin with a box of MP4 instead of a packet of a transport stream."""
    return data[4:8] in _FIRST


def boxes(data: bytes, begin: int, end: int, *, top: bool = False, cut: bool = False) -> Iterator[Box]:
    """Yield the boxes in a range of bytes. Raises FragmentError.

    At the `top` level, an mdat may have the size 0, up to the end. With `cut`, the last box may be
    truncated: the range of a key frame ends inside the mdat.
    """
    at = begin
    for _ in range(MAX_BOXES):
        if at == end:
            return
        box = _box(data, at, end, top, cut)
        yield box
        at = box.end
    raise FragmentError(f"more than {MAX_BOXES} boxes", offset=at)


def _box(data: bytes, at: int, end: int, top: bool, cut: bool) -> Box:
    if end - at < 8:
        raise FragmentError("a truncated box", offset=at)
    size, kind, body = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
    if size == 1 and end - at >= 16:
        size, body = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
    elif size == 0 and top and kind == b"mdat":
        size = end - at
    if cut and size > end - at:
        size = end - at
    if not body - at <= size <= end - at:
        raise FragmentError(f"a box {_name(kind)} of {size} bytes, where {end - at} are left", offset=at)
    return Box(kind, at, body, at + size)


def _name(kind: bytes) -> str:
    return repr(kind.decode("latin-1"))


def child(data: bytes, parent: Box, kind: bytes) -> Box | None:
    """Returns the first box of a type in another one, or None. Raises FragmentError."""
    return next((box for box in boxes(data, parent.body, parent.end) if box.kind == kind), None)


def needed(data: bytes, parent: Box, *path: bytes) -> Box:
    """Returns the box at a path of types below another one. Raises FragmentError if there is none."""
    for kind in path:
        found = child(data, parent, kind)
        if found is None:
            raise FragmentError(f"{_name(parent.kind)} without {_name(kind)}", offset=parent.start)
        parent = found
    return parent


class Fields:
    """Reads the numbers of a box in order. Raises FragmentError past its end."""

    def __init__(self, data: bytes, box: Box, *, skip: int = 0) -> None:
        self._data, self._at, self._end = data, box.body + skip, box.end

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "big", signed=signed)

    def take(self, size: int) -> bytes:
        if size > self._end - self._at:
            raise FragmentError("a truncated box", offset=self._at)
        self._at += size
        return self._data[self._at - size : self._at]

    def versioned(self) -> tuple[int, int]:
        """Returns version and flags of a full box."""
        return self.number(1), self.number(3)

    @property
    def at(self) -> int:
        return self._at

    @property
    def left(self) -> int:
        return self._end - self._at
