"""Writes one object in parts, also of unknown size. Holds at most one part in memory."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.uploads import part_size_of
from gostream_shared.storage.port import (
    MultipartEndedError,
    ObjectNotFoundError,
    ObjectStore,
    StoredObject,
    StoredPart,
)
from gostream_worker.retry import patiently

_log = structlog.stdlib.get_logger("gostream.ingest")

_CONTENT_TYPE = "application/octet-stream"
#: Seconds to remove the parts of an interrupted write.
_ABORT_TIMEOUT = 10.0


class ObjectWriter:
    """Appends to an object that exists only after `finish`. Use it with `writing`.

    Every method raises BackendUnavailableError after `patience` seconds of an outage, and MultipartEndedError
    if something else removed the parts.
    """

    def __init__(
        self,
        store: ObjectStore,
        key: str,
        *,
        patience: float,
        content_type: str = _CONTENT_TYPE,
        disposition: str = "",
    ) -> None:
        self._content_type, self._disposition = content_type, disposition
        self._store = store
        self._key = key
        self._patience = patience
        self._part_size = part_size_of(0)  # the least one
        self._buffer = bytearray()
        self._parts: list[StoredPart] = []
        self._upload_id = ""
        self._sha256 = hashlib.sha256()

    @property
    def sha256(self) -> bytes:
        return self._sha256.digest()

    def expect(self, size: int) -> None:
        """Choose the size of the parts for an object of at most `size` bytes; before the first write."""
        self._part_size = part_size_of(size)

    async def write(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= self._part_size:
            part = bytes(memoryview(self._buffer)[: self._part_size])
            del self._buffer[: self._part_size]
            await self._put(part)

    async def finish(self) -> StoredObject:
        """Makes the object. Returns it as the store has it."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        if self._upload_id:
            if rest:
                await self._put(rest)
            await self._complete()
        else:
            await asyncio.to_thread(self._sha256.update, rest)
            await patiently(
                lambda: self._store.put(
                    self._key, rest, content_type=self._content_type, disposition=self._disposition
                ),
                patience=self._patience,
            )
        self._upload_id = ""
        return await patiently(lambda: self._store.head(self._key), patience=self._patience)

    async def abort(self) -> None:
        """Removes the parts. If the store is unavailable, the next attempt or removal does it."""
        if not self._upload_id:
            return
        try:
            async with asyncio.timeout(_ABORT_TIMEOUT):
                await self._store.abort_multipart(self._key, self._upload_id)
        except (BackendUnavailableError, TimeoutError) as error:
            _log.warning("parts not removed", key=self._key, error=str(error))

    async def _put(self, part: bytes) -> None:
        await asyncio.to_thread(self._sha256.update, part)
        if not self._upload_id:
            await self._begin()
        number = len(self._parts) + 1
        self._parts.append(
            await patiently(
                lambda: self._store.put_part(self._key, self._upload_id, number=number, data=part),
                patience=self._patience,
            )
        )

    async def _begin(self) -> None:
        """A cancelled request may still begin an upload, so it ends before the cancellation takes effect."""
        begun = asyncio.ensure_future(
            self._store.create_multipart(
                self._key, content_type=self._content_type, disposition=self._disposition
            )
        )
        try:
            self._upload_id = await asyncio.shield(begun)
        except asyncio.CancelledError:
            begun.add_done_callback(self._note_begun)
            await asyncio.wait({begun}, timeout=_ABORT_TIMEOUT)
            raise

    def _note_begun(self, begun: "asyncio.Future[str]") -> None:
        if not begun.cancelled() and begun.exception() is None:
            self._upload_id = begun.result()

    async def _complete(self) -> None:
        try:
            await patiently(
                lambda: self._store.complete_multipart(self._key, self._upload_id, self._parts),
                patience=self._patience,
            )
        except MultipartEndedError:
            if not await self._is_complete():
                raise

    async def _is_complete(self) -> bool:
        """Returns whether an earlier call succeeded, whose answer was lost."""
        try:
            found = await patiently(lambda: self._store.head(self._key), patience=self._patience)
        except ObjectNotFoundError:
            return False
        return found.size == sum(part.size for part in self._parts)


@asynccontextmanager
async def writing(
    store: ObjectStore,
    key: str,
    *,
    patience: float,
    content_type: str = _CONTENT_TYPE,
    disposition: str = "",
) -> AsyncIterator[ObjectWriter]:
    """Yields a writer. If the block ends without `finish`, nothing of it stays in the store.

    `disposition`: the Content-Disposition of the object's responses.
    """
    writer = ObjectWriter(store, key, patience=patience, content_type=content_type, disposition=disposition)
    try:
        yield writer
    finally:
        await asyncio.shield(writer.abort())
