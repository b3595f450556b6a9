"""Stored objects as one content, one after the other."""

from collections.abc import AsyncIterator, Sequence
from itertools import accumulate

from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.storage.port import ObjectNotFoundError, ObjectStore, StoredObject
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.retry import patiently

#: Bytes of one request to the store.
_BLOCK = 4 << 20


class JoinedObjects:
    """The bytes of objects in their order. Holds one block in memory.

    `trouble` is the last error that ended a read. `read_bytes`: the end of what was read.
    """

    def __init__(self, store: ObjectStore, objects: Sequence[StoredObject], *, patience: float) -> None:
        self._store = store
        self._objects = objects
        self._patience = patience
        self._ends = list(accumulate(found.size for found in objects))
        self.trouble: BackendUnavailableError | ProcessingFailedError | None = None
        self.read_bytes = 0

    @property
    def size(self) -> int:
        return self._ends[-1] if self._ends else 0

    async def read(self, start: int, stop: int) -> AsyncIterator[memoryview]:
        """Yields the bytes from `start` to `stop`.

        Raises BackendUnavailableError, and ProcessingFailedError if an object was removed or replaced.
        """
        try:
            for found, end in zip(self._objects, self._ends, strict=True):
                begin = end - found.size
                at = max(start, begin)
                while at < min(stop, end):
                    size = min(_BLOCK, min(stop, end) - at)
                    yield memoryview(await self._fetch(found, at - begin, size))
                    at += size
                    self.read_bytes = max(self.read_bytes, at)
        except (BackendUnavailableError, ProcessingFailedError) as error:
            self.trouble = error
            raise

    def require_read(self) -> None:
        """Raises the error that ended a read, or ProcessingFailedError if the end was never read.

        ffmpeg takes the end of a broken connection for the end of its input.
        """
        if self.trouble is not None:
            raise self.trouble
        if self.read_bytes < self.size:
            raise ProcessingFailedError(Code.INTERNAL, f"{self.read_bytes} of {self.size} bytes were read")

    async def _fetch(self, found: StoredObject, start: int, size: int) -> bytes:
        try:
            data = await patiently(
                lambda: self._store.read_range(found.key, start=start, size=size, etag=found.etag),
                patience=self._patience,
            )
        except ObjectNotFoundError:
            data = b""
        if len(data) < size:
            raise ProcessingFailedError(Code.SOURCE_REPLACED, found.key)
        return data
