"""An MP4 file whose media data nobody has fetched: zeros stand for it, and its index is as it is."""

from collections.abc import Sequence
from typing import BinaryIO

from gostream_worker.probe.byte_source import PositionedFile
from gostream_worker.probe.signature import Box, is_fragmented

#: A larger index is not read twice.
LARGEST_INDEX = 32 << 20
_LOOK = 4096
_ZEROS = bytes(1 << 16)


class HollowFile(PositionedFile):
    """A file as it is, but for the media data."""

    def __init__(self, file: BinaryIO, size: int, hollow: Sequence[range]) -> None:
        super().__init__(size)
        self._file = file
        self._hollow = hollow

    @classmethod
    def of(cls, file: BinaryIO, size: int, boxes: Sequence[Box]) -> "HollowFile | None":
        """None for files whose index is not one table."""
        index = [box for box in boxes if box.kind == b"moov"]
        if len(index) != 1 or is_fragmented(boxes) or index[0].length > LARGEST_INDEX:
            return None
        media = [box for box in boxes if box.kind == b"mdat"]
        return cls(file, size, [range(box.offset + 16, box.offset + box.length) for box in media])

    def read(self, size: int = -1) -> bytes:
        """As much as there is of one kind, at most `size` bytes."""
        stop = self._size if size < 0 else min(self._size, self._position + size)
        hollow = next((part for part in self._hollow if self._position in part), None)
        if hollow is None:
            stop = min([stop, *(part.start for part in self._hollow if part.start > self._position)])
            data = self._read(self._position, stop - self._position)
        else:
            data = _ZEROS[: max(0, min(stop, hollow.stop) - self._position)]
        self._position += len(data)
        return data

    def look(self, start: int) -> bytes:
        """What really is there: enough to tell what a picture is."""
        return self._read(start, _LOOK)

    def _read(self, start: int, size: int) -> bytes:
        self._file.seek(start)
        return self._file.read(max(0, size))
