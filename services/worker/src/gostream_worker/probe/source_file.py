"""Reads the source's bytes for properties that PyAV does not expose. Runs in the probing child."""

from dataclasses import dataclass
from typing import BinaryIO

from gostream_worker.probe.byte_source import size_of
from gostream_worker.probe.mp4.sparse_file import LARGEST_INDEX
from gostream_worker.probe.signature import Box, boxes_of, is_fragmented
from gostream_worker.probe.timing.last_fragment import Fragment, last_fragment
from gostream_worker.sandbox.allowlist import is_served

_TAIL, _HEAD = 8 << 20, 256 << 10


@dataclass(frozen=True)
class SourceFile:
    """The file and its top-level boxes. A file that `is_served` is read only in parts."""

    url: str
    file: BinaryIO
    size: int
    boxes: tuple[Box, ...]
    is_served: bool

    @classmethod
    def of(cls, url: str, file: BinaryIO) -> "SourceFile":
        size, served = size_of(file), is_served(url)
        return cls(url, file, size, boxes_of(file, size, to_fragments=served), served)

    def tail(self) -> bytes:
        """Returns the last bytes, which contain the start of a recording's last fragment or cluster."""
        self.file.seek(max(0, self.size - _TAIL))
        return self.file.read(_TAIL)

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
