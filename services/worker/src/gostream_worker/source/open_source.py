"""The uploaded object as the children read it: one and the same bytes from probe to end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from gostream_shared.domain.object_keys import source_key
from gostream_shared.storage.port import ObjectNotFoundError, ObjectStore, StoredObject
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.probe.limits import SourceLimits, admit_size
from gostream_worker.source.loopback_server import serve_object

#: A name that says nothing: with the user's, demuxers are guessed from it.
SOURCE_NAME = "input.bin"
#: Seconds that the store may be out of reach for a streamed source; well before the encoder's watchdog bites.
_STREAM_PATIENCE = 15.0
#: Bytes per second below which a probe that must read a whole streamed source is given up.
_SLOWEST_STORE = 5e6


@dataclass(frozen=True, slots=True)
class OpenSource:
    """`url` is what children open that are started in the attempt's folder: of a file, or on loopback.

    `version` is the object that it was opened as. `patience`: seconds that reading it from one end to the
    other may take.
    """

    url: str
    version: StoredObject
    patience: float = 0.0


@asynccontextmanager
async def open_source(
    store: ObjectStore, video_id: UUID, folder: Path, limits: SourceLimits, *, max_copied: int
) -> AsyncIterator[OpenSource]:
    """The source, pinned by its etag: copied to the folder up to that many bytes, streamed beyond.

    Raises ProcessingFailedError and BackendUnavailableError; while a source is streamed they may end the
    block at any time (gostream_worker.source.loopback_server).
    """
    found = await _find(store, source_key(video_id))
    admit_size(found.size, limits)
    if found.size <= max_copied:
        await _copy(store, found, folder / SOURCE_NAME)
        yield OpenSource(f"file:{SOURCE_NAME}", found)
    else:
        async with serve_object(store, found, patience=_STREAM_PATIENCE) as url:
            yield OpenSource(url, found, patience=found.size / _SLOWEST_STORE)


async def require_same(store: ObjectStore, version: StoredObject) -> None:
    """Raises ProcessingFailedError when another object has taken its place, and BackendUnavailableError.

    One that is gone was read whole before: what was made of it is as good as ever.
    """
    try:
        found = await store.head(version.key)
    except ObjectNotFoundError:
        return
    if found.etag != version.etag:
        raise ProcessingFailedError(Code.SOURCE_REPLACED, version.key)


async def _find(store: ObjectStore, key: str) -> StoredObject:
    try:
        return await store.head(key)
    except ObjectNotFoundError:
        raise ProcessingFailedError(Code.SOURCE_GONE, key) from None


async def _copy(store: ObjectStore, found: StoredObject, path: Path) -> None:
    try:
        await store.download(found.key, path, etag=found.etag)
    except ObjectNotFoundError:
        raise ProcessingFailedError(Code.SOURCE_REPLACED, found.key) from None
    arrived = (await asyncio.to_thread(path.stat)).st_size
    if arrived < found.size:
        raise ProcessingFailedError(Code.TRUNCATED, f"{arrived} of {found.size} bytes are stored")
