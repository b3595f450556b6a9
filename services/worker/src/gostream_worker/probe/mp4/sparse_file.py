"""Sparse view of an MP4: `mdat` reads as zeros, so the index can be parsed without the media."""

from collections.abc import Sequence
from typing import BinaryIO

from gostream_worker.probe.byte_source import SeekableReader
from gostream_worker.probe.signature import Box, is_fragmented

#: Maximum size of an index that is read twice.
LARGEST_INDEX = 32 << 20
_PEEK = 4096
_ZEROS = bytes(1 << 16)


class SparseMp4(SeekableReader):
    """A file whose media data reads as zeros."""

    def __init__(self, file: BinaryIO, size: int, media: Sequence[range]) -> None:
        super().__init__(size)
        self._file = file
        self._media = media

    @classmethod
    def of(cls, file: BinaryIO, size: int, boxes: Sequence[Box]) -> "SparseMp4 | None":
        """Returns None for files whose index is not a single table."""
        index = [box for box in boxes if box.kind == b"moov"]
        if len(index) != 1 or is_fragmented(boxes) or index[0].length > LARGEST_INDEX:
            return None
        media = [box for box in boxes if box.kind == b"mdat"]
        return cls(file, size, [range(box.offset + 16, box.offset + box.length) for box in media])

    def read(self, size: int = -1) -> bytes:
        """Reads at most `size` bytes, up to the next border between file and zeros."""
        stop = self._size if size < 0 else min(self._size, self._position + size)
        part = next((found for found in self._media if self._position in found), None)
        if part is None:
            stop = min([stop, *(part.start for part in self._media if part.start > self._position)])
            data = self._read(self._position, stop - self._position)
        else:
            data = _ZEROS[: max(0, min(stop, part.stop) - self._position)]
        self._position += len(data)
        return data

    def peek(self, start: int) -> bytes:
        """Returns real media bytes, enough to identify a picture's type."""
        return self._read(start, _PEEK)

    def _read(self, start: int, size: int) -> bytes:
        self._file.seek(start)
        return self._file.read(max(0, size))
