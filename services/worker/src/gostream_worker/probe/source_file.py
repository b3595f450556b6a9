"""The source's own bytes, where the library does not tell what stands in them. Lives in the probing child."""

from dataclasses import dataclass, replace
from typing import BinaryIO

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.probe.byte_source import size_of
from gostream_worker.probe.mp4.sparse_file import LARGEST_INDEX
from gostream_worker.probe.mp4.whole_part import part_of, whole_by_boxes, whole_by_tail
from gostream_worker.probe.signature import Box, boxes_of, is_fragmented
from gostream_worker.probe.timing.last_fragment import Fragment, last_fragment
from gostream_worker.sandbox.allowlist import is_served

_TAIL, _HEAD = 8 << 20, 256 << 10


@dataclass(frozen=True)
class SourceFile:
    """The file, and what its outermost boxes say. One that `is_served` is not read whole.

    `size` is that of the part that is whole, of `stored` bytes. `patience`: seconds for reading a broadcast
    to its end although it is served; 0 = it is not read.
    """

    url: str
    file: BinaryIO
    size: int
    boxes: tuple[Box, ...]
    is_served: bool
    stored: int = 0
    patience: float = 0.0

    @classmethod
    def of(cls, url: str, file: BinaryIO, *, patience: float = 0.0) -> "SourceFile":
        """Raises ProcessingFailedError TRUNCATED for a recording in fragments of which none is whole."""
        size, served = size_of(file), is_served(url)
        found = cls(url, file, size, boxes_of(file, size, to_fragments=served), served, size, patience)
        return found._without_cut_fragment() if is_fragmented(found.boxes) else found

    def _without_cut_fragment(self) -> "SourceFile":
        """As far as it is whole. Raises ProcessingFailedError TRUNCATED if no fragment is."""
        whole = whole_by_tail(self.tail(), self.size)
        if whole is None:
            whole = self.size if self.is_served else whole_by_boxes(self.boxes, self.size)
        boxes = tuple(box for box in self.boxes if box.offset < whole)
        if not is_fragmented(boxes):
            raise ProcessingFailedError(Code.TRUNCATED, "the first fragment is cut off")
        return replace(self, size=whole, boxes=boxes)

    @property
    def readable(self) -> str:
        """The URL of the part that is whole."""
        return self.url if self.size == self.stored else part_of(self.url, self.size)

    def tail(self) -> bytes:
        """Bytes in which the last piece of a recording begins."""
        start = max(0, self.size - _TAIL)
        self.file.seek(start)
        return self.file.read(self.size - start)

    def index(self) -> bytes:
        """What the index of an MP4 or MOV file holds; nothing of other files, and of a very large index."""
        index = next((box for box in self.boxes if box.kind == b"moov"), None)
        if index is None or index.length > LARGEST_INDEX:
            return b""
        self.file.seek(index.offset + 8)
        return self.file.read(index.length - 8)

    def head(self) -> bytes:
        """Bytes in which other containers say what their tracks are."""
        self.file.seek(0)
        return self.file.read(_HEAD)

    def last_fragment(self, track: int) -> Fragment | None:
        """Of a source whose boxes were read to the first one only."""
        return last_fragment(self.tail(), track) if self.is_served and is_fragmented(self.boxes) else None
