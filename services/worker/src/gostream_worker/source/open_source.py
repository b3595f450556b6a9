"""Opens the object of the source for the children: the same bytes from the probe to the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gostream_shared.storage.port import ObjectNotFoundError, ObjectStore, StoredObject
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.probe.limits import SourceLimits, admit_size
from gostream_worker.source.loopback_server import serve_object

#: A neutral name: demuxers guess the format from the extension of a user's file name.
SOURCE_NAME = "input.bin"
#: Seconds that the store may be unavailable for a streamed source, well below the encoder's watchdog.
_STREAM_PATIENCE = 15.0
#: Minimum bytes per second for a probe that must read a whole streamed source.
_SLOWEST_STORE = 5e6


@dataclass(frozen=True, slots=True)
class OpenSource:
    """`url` is opened by children in the attempt's folder: a file, or a loopback URL.

    `version` is the opened version of the object. `patience`: seconds that reading all of it may take.
    """

    url: str
    version: StoredObject
    patience: float = 0.0


@asynccontextmanager
async def open_source(
    store: ObjectStore,
    key: str,
    folder: Path,
    limits: SourceLimits,
    *,
    max_copied: int,
    pinned: StoredObject | None = None,
) -> AsyncIterator[OpenSource]:
    """Yields the source, pinned by its ETag: copied up to `max_copied` bytes, else streamed.

    With `pinned`, only that version of the object is a source: any other one is SOURCE_REPLACED.

    Raises ProcessingFailedError and BackendUnavailableError. While a source is streamed they may end the
    block at any time (gostream_worker.source.loopback_server).
    """
    found = await _find(store, key)
    if pinned is not None and found.etag != pinned.etag:
        raise ProcessingFailedError(Code.SOURCE_REPLACED, key)
    admit_size(found.size, limits)
    if found.size <= max_copied:
        await _copy(store, found, folder / SOURCE_NAME)
        yield OpenSource(f"file:{SOURCE_NAME}", found)
    else:
        async with serve_object(store, found, patience=_STREAM_PATIENCE) as url:
            yield OpenSource(url, found, patience=found.size / _SLOWEST_STORE)


async def require_same(store: ObjectStore, version: StoredObject) -> None:
    """Raises ProcessingFailedError if another object replaced the source, and BackendUnavailableError.

    A removed source is accepted: it was read completely, so its encode is valid.
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
