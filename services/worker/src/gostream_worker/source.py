"""The uploaded object, copied to the work directory: one and the same bytes from probe to end."""

from pathlib import Path
from uuid import UUID

from gostream_shared.domain.video import source_key
from gostream_shared.storage import ObjectNotFoundError, ObjectStore
from gostream_worker.admission import SourceLimits, admit_size
from gostream_worker.failures import Code, ProcessingFailedError

#: A name that says nothing: with the user's, demuxers are guessed from it.
SOURCE_NAME = "input.bin"
_REPLACEMENTS = 3


async def fetch_source(store: ObjectStore, video_id: UUID, folder: Path, limits: SourceLimits) -> Path:
    """Download the source, pinned by its etag; one that is replaced meanwhile is fetched anew.

    Raises ProcessingFailedError and BackendUnavailableError.
    """
    key, path = source_key(video_id), folder / SOURCE_NAME
    for _ in range(_REPLACEMENTS):
        try:
            found = await store.head(key)
        except ObjectNotFoundError:
            raise ProcessingFailedError(Code.SOURCE_GONE, key) from None
        admit_size(found.size, limits)
        try:
            await store.download(key, path, etag=found.etag)
        except ObjectNotFoundError:
            continue  # replaced, or gone: the next look tells
        return path
    raise ProcessingFailedError(Code.SOURCE_GONE, "replaced again and again")
