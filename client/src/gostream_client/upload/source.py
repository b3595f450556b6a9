"""The local file that is uploaded."""

import asyncio
import mimetypes
import stat
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import BinaryIO

from gostream_client.errors import InvalidInputError, UploadError
from gostream_client.text import printable
from gostream_client.upload.title import derived_title

CHUNK_BYTES = 1 << 20
_NO_STREAM = "{} cannot be uploaded, because its size is unknown; write it to a file first"


class SourceFile:
    """A local file. Its size is read at the start, and exactly that many bytes are sent."""

    def __init__(self, path: Path) -> None:
        """Raises InvalidInputError if the file is not regular, is empty or cannot be read."""
        self.path = path
        self.name = printable(str(path))
        try:
            found = path.stat()
            if stat.S_ISREG(found.st_mode):  # opening a pipe would wait for its writer
                path.open("rb").close()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            if str(path) == "-":
                raise InvalidInputError(_NO_STREAM.format("stdin")) from None
            cause = getattr(error, "strerror", None) or str(error)
            raise InvalidInputError(f"{self.name} cannot be read: {cause}") from None
        if not stat.S_ISREG(found.st_mode):
            raise InvalidInputError(_kind_refused(self.name, found.st_mode))
        self.size = found.st_size
        if not self.size:
            raise InvalidInputError(f"{self.name} is empty")

    @property
    def title(self) -> str:
        """A title that the API accepts, from the file name."""
        return derived_title(self.path)

    @property
    def content_type(self) -> str:
        """The media type that the file name suggests, if it is a video's."""
        guess = mimetypes.guess_type(self.path.name)[0] or ""
        return guess if guess.startswith(("video/", "audio/")) else "application/octet-stream"

    async def chunks(self, file: BinaryIO, on_sent: Callable[[int], object]) -> AsyncGenerator[bytes, None]:
        """Yields the bytes of `file`; calls `on_sent` with the number of bytes so far after each chunk.

        Raises UploadError if the file has become shorter.
        """
        sent = 0
        on_sent(0)
        while sent < self.size:
            chunk = await asyncio.to_thread(file.read, min(CHUNK_BYTES, self.size - sent))
            if not chunk:
                raise UploadError(f"{self.name} became shorter during the upload")
            yield chunk
            sent += len(chunk)
            on_sent(sent)


def _kind_refused(name: str, mode: int) -> str:
    if stat.S_ISDIR(mode):
        return f"{name} is a directory, not a file"
    if stat.S_ISFIFO(mode):
        return _NO_STREAM.format(f"{name} is a pipe and")
    return f"{name} is a {'socket' if stat.S_ISSOCK(mode) else 'device'}, not a file"
