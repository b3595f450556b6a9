"""Reads the source's bytes for properties that PyAV does not expose. Runs in the probing child."""

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
    """The file and its top-level boxes. A file that `is_served` is read only in parts.

    `size` is that of the complete part of `stored` bytes. `patience`: seconds for reading a served broadcast
    to its end; 0 = never.
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
        """Raises ProcessingFailedError TRUNCATED for a fragmented recording without a complete fragment."""
        size, served = size_of(file), is_served(url)
        found = cls(url, file, size, boxes_of(file, size, to_fragments=served), served, size, patience)
        return found._without_cut_fragment() if is_fragmented(found.boxes) else found

    def _without_cut_fragment(self) -> "SourceFile":
        """Returns the complete part. Raises ProcessingFailedError TRUNCATED without a complete fragment."""
        whole = whole_by_tail(self.tail(), self.size)
        if whole is None:
            whole = self.size if self.is_served else whole_by_boxes(self.boxes, self.size)
        boxes = tuple(box for box in self.boxes if box.offset < whole)
        if not is_fragmented(boxes):
            raise ProcessingFailedError(Code.TRUNCATED, "the first fragment is cut off")
        return replace(self, size=whole, boxes=boxes)

    @property
    def readable(self) -> str:
        """The URL of the complete part."""
        return self.url if self.size == self.stored else part_of(self.url, self.size)

    def tail(self) -> bytes:
        """Returns the last bytes, which contain the start of a recording's last fragment or cluster."""
        start = max(0, self.size - _TAIL)
        self.file.seek(start)
        return self.file.read(self.size - start)

    def index(self) -> bytes:
        """Returns the content of an MP4 or MOV file's index; b"" for other files or a very large index."""
        index = next((box for box in self.boxes if box.kind == b"moov"), None)
        if index is None or index.length > LARGEST_INDEX:
            return b""
        self.file.seek(index.offset + 8)
        return self.file.read(index.length - 8)

    def head(self) -> bytes:
        """Returns the first bytes, in which other containers describe their tracks."""
        self.file.seek(0)
        return self.file.read(_HEAD)

    def last_fragment(self, track: int) -> Fragment | None:
        """Returns the last fragment of a served fragmented file. Its boxes end at the first fragment."""
        return last_fragment(self.tail(), track) if self.is_served and is_fragmented(self.boxes) else None
