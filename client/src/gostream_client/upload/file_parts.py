"""The parts of a local file, with their MD5."""

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

from gostream.v1 import upload_pb2
from gostream_client.errors import GoStreamError, UploadError
from gostream_client.text import printable


class FileChangedError(UploadError):
    """The file changed during the upload."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part in memory. `md5` has 16 bytes."""

    number: int
    body: memoryview
    md5: bytes


class FileParts:
    """Reads a file as the parts of a session.

    The parts of one upload must be those of one file, so a change of the file ends it.
    """

    def __init__(self, path: Path, session: upload_pb2.UploadSession) -> None:
        self._path = path
        self._part_size = session.part_size
        self._size = session.size_bytes
        self._seen = self._state()

    async def read(self, number: int) -> Part:
        """Read a part and compute its MD5, in a thread. Raises FileChangedError."""
        return await asyncio.to_thread(self._read, number)

    async def require_unchanged(self) -> None:
        """Raise FileChangedError if size, time or inode of the file differ from the start."""
        if await asyncio.to_thread(self._state) != self._seen:
            raise self._changed()

    def size_of(self, number: int) -> int:
        """Returns the size of a part in bytes."""
        return min(self._part_size, self._size - (number - 1) * self._part_size)

    def _read(self, number: int) -> Part:
        size = self.size_of(number)
        body = bytearray(size)
        try:
            with self._path.open("rb") as file:
                file.seek((number - 1) * self._part_size)
                got = file.readinto(body)
        except OSError as error:
            raise GoStreamError(f"{printable(str(self._path))} cannot be read: {error.strerror}") from None
        if got != size:
            raise self._changed()
        return Part(number, memoryview(body), hashlib.md5(body, usedforsecurity=False).digest())

    def _state(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError as error:
            raise GoStreamError(f"{printable(str(self._path))} cannot be read: {error.strerror}") from None
        return found.st_size, found.st_mtime_ns, found.st_ino

    def _changed(self) -> FileChangedError:
        return FileChangedError(f"{printable(str(self._path))} changed during the upload")
