"""Where the source of a video is, and which job an encode begins with."""

from uuid import UUID

from gostream_shared.domain.companions.remote_sources import RemoteSource
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.errors import (
    SourceNotUploadedError,
    SourceTooLargeError,
    SourceUnreachableError,
)
from gostream_shared.domain.jobs import FetchJob, TranscodeJob
from gostream_shared.domain.object_keys import source_key
from gostream_shared.domain.repositories import Database
from gostream_shared.storage.port import ObjectNotFoundError, ObjectStore


def first_job(encode: Encode, source: RemoteSource | None) -> FetchJob | TranscodeJob:
    """Returns the job that an encode begins with: a source that is still at its URL is fetched first."""
    kind = FetchJob if source is not None and source.url else TranscodeJob
    return kind(video_id=encode.video_id, number=encode.number)


async def require_source(database: Database, store: ObjectStore, video_id: UUID, *, limit_bytes: int) -> int:
    """Check that an encode of the video can begin. Returns the bytes that its owner has stored as the source.

    Raises SourceNotUploadedError, SourceUnreachableError, SourceTooLargeError and BackendUnavailableError.
    """
    remote = await database.remote_sources.get(video_id)
    if remote is not None and remote.url:
        return 0
    key = remote.key if remote is not None else ""
    try:
        source = await store.head(key or source_key(video_id))
    except ObjectNotFoundError:
        raise (SourceUnreachableError() if key else SourceNotUploadedError(video_id)) from None
    if source.size > limit_bytes:
        raise SourceTooLargeError(video_id, size_bytes=source.size, limit_bytes=limit_bytes)
    return 0 if key else source.size
