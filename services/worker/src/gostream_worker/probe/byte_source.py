"""Reads the bytes of a source by URL, without a media library. Runs in the probing child."""

import io
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit

_TIMEOUT = 60.0


def open_bytes(url: str) -> BinaryIO:
    """Opens a local file, or an object that the worker serves on loopback."""
    if url.startswith("file:"):
        return Path(url.removeprefix("file:")).open("rb")
    return cast("BinaryIO", _ServedFile(url))


def size_of(file: BinaryIO) -> int:
    return file.seek(0, io.SEEK_END)


class SeekableReader(io.RawIOBase):
    """A seekable stream of `size` bytes. Subclasses implement the reads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position


class _ServedFile(SeekableReader):
    """Sends one HTTP request per read."""

    def __init__(self, url: str) -> None:
        from http.client import (
            HTTPConnection,
        )  # a tenth of the child's start, rarely needed

        parts = urlsplit(url)
        self._connection = HTTPConnection(parts.netloc, timeout=_TIMEOUT)
        self._path = parts.path
        super().__init__(size=int(self._get(0, 1)[1].rpartition("/")[2]))

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        wanted = min(len(buffer), self._size - self._position)
        if wanted <= 0:
            return 0
        data, _ = self._get(self._position, wanted)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._connection.close()
        super().close()

    def _get(self, start: int, size: int) -> tuple[bytes, str]:
        """Returns the bytes and the Content-Range header."""
        self._connection.request("GET", self._path, headers={"Range": f"bytes={start}-{start + size - 1}"})
        answer = self._connection.getresponse()
        return answer.read(), answer.headers["Content-Range"]
