"""The job queue: the PgQueuer adapter of the domain's port. A job commits with its caller's transaction."""

from collections.abc import Mapping
from dataclasses import astuple
from datetime import timedelta
from types import MappingProxyType

from pgqueuer.queries import Queries
from pydantic import TypeAdapter

from gostream_shared.domain.jobs import (
    ChunkJob,
    DownloadJob,
    ExpireJob,
    ExpireUploadJob,
    FetchJob,
    FetchTrackJob,
    FinishJob,
    Job,
    PublishTracksJob,
    RemoveJob,
    TranscodeJob,
)

TRANSCODE = "transcode"
CHUNK = "chunk"
FINISH = "finish"
FETCH = "fetch"
DOWNLOAD = "download"
REMOVE = "remove"
EXPIRE = "expire"
EXPIRE_UPLOAD = "expire-upload"
PUBLISH_TRACKS = "publish-tracks"
FETCH_TRACK = "fetch-track"
_ENTRYPOINTS: Mapping[type[Job], str] = MappingProxyType(
    {
        TranscodeJob: TRANSCODE,
        ChunkJob: CHUNK,
        FinishJob: FINISH,
        FetchJob: FETCH,
        DownloadJob: DOWNLOAD,
        RemoveJob: REMOVE,
        ExpireJob: EXPIRE,
        ExpireUploadJob: EXPIRE_UPLOAD,
        PublishTracksJob: PUBLISH_TRACKS,
        FetchTrackJob: FETCH_TRACK,
    }
)
_transcode = TypeAdapter(TranscodeJob)
_chunk = TypeAdapter(ChunkJob)
_finish = TypeAdapter(FinishJob)
_fetch = TypeAdapter(FetchJob)
_download = TypeAdapter(DownloadJob)
_remove = TypeAdapter(RemoveJob)
_expire = TypeAdapter(ExpireJob)
_expire_upload = TypeAdapter(ExpireUploadJob)
_publish_tracks = TypeAdapter(PublishTracksJob)
_fetch_track = TypeAdapter(FetchTrackJob)


class PgQueuerJobQueue:
    """Implements gostream_shared.domain.jobs.JobQueue on the connection of an open transaction."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def enqueue(self, job: Job, *, delay: timedelta = timedelta(0), turn: int = 0) -> None:
        entrypoint = _ENTRYPOINTS[type(job)]
        identity = ":".join(str(part) for part in astuple(job))
        await self._queries.enqueue(
            entrypoint,
            TypeAdapter(type(job)).dump_json(job),
            priority=-turn,  # PgQueuer runs the highest priority first
            execute_after=delay,
            dedupe_key=f"{entrypoint}:{identity}",
            on_conflict="skip",
        )


def transcode_job(payload: bytes) -> TranscodeJob:
    """Decode the payload of an enqueued job. Raises pydantic.ValidationError."""
    return _transcode.validate_json(payload)


def chunk_job(payload: bytes) -> ChunkJob:
    """Decode the payload of an enqueued job. Raises pydantic.ValidationError."""
    return _chunk.validate_json(payload)


def finish_job(payload: bytes) -> FinishJob:
    """Decode the payload of an enqueued job. Raises pydantic.ValidationError."""
    return _finish.validate_json(payload)


def fetch_job(payload: bytes) -> FetchJob:
    """Decode the payload of an enqueued job. Raises pydantic.ValidationError."""
    return _fetch.validate_json(payload)


def download_job(payload: bytes) -> DownloadJob:
    """Decode the payload of an enqueued job. Raises pydantic.ValidationError."""
    return _download.validate_json(payload)


def remove_job(payload: bytes) -> RemoveJob:
    """Decode the payload of an enqueued job. Raises pydantic.ValidationError."""
    return _remove.validate_json(payload)


def expire_job(payload: bytes) -> ExpireJob:
    """Decode the payload of an enqueued job. Raises pydantic.ValidationError."""
    return _expire.validate_json(payload)


def expire_upload_job(payload: bytes) -> ExpireUploadJob:
    """Decode the payload of an enqueued job. Raises pydantic.ValidationError."""
    return _expire_upload.validate_json(payload)


def publish_tracks_job(payload: bytes) -> PublishTracksJob:
    """Decode the payload of an enqueued job. Raises pydantic.ValidationError."""
    return _publish_tracks.validate_json(payload)


def fetch_track_job(payload: bytes) -> FetchTrackJob:
    """Decode the payload of an enqueued job. Raises pydantic.ValidationError."""
    return _fetch_track.validate_json(payload)
