"""Upload URLs: accepted uploads, expiry, and repeated CreateVideo calls."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import grpc
import pytest

from gostream.v1.video_service_pb2 import (
    CancelProcessRequest,
    CreateVideoRequest,
    DeleteVideoRequest,
    GetVideoRequest,
    TriggerProcessRequest,
)
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.jobs import RemoveJob
from gostream_shared.domain.video import Failure
from gostream_shared.jobs.pgqueuer import remove_job

from .test_processing import publish

FAILURE = Failure(code="SOURCE_EMPTY", message="The upload is empty.", retryable=False, stage="probing")


async def end(api: Any, database: PostgresDatabase, video_id: str, how: str) -> None:
    """Brings a video with a source into the given state."""
    if how == "deleted":
        await api.stub.DeleteVideo(DeleteVideoRequest(id=video_id))
        return
    await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))
    if how == "READY":
        await publish(database, video_id)
    elif how == "FAILED":
        encode = await database.encodes.begin_attempt(UUID(video_id), 1, worker="w")
        await database.encodes.mark_video_failed(encode, FAILURE)
    elif how == "CANCELLED":
        await api.stub.CancelProcess(CancelProcessRequest(id=video_id))


async def removals(database: PostgresDatabase) -> list[tuple[RemoveJob, timedelta]]:
    """Queued removals and the time until each, soonest first."""
    rows = await database.pool.fetch(
        """SELECT payload, execute_after - now() AS delay FROM pgqueuer
        WHERE entrypoint = 'remove' ORDER BY execute_after"""
    )
    return [(remove_job(row["payload"]), row["delay"]) for row in rows]


async def test_upload_without_a_size_is_refused(api: Any, refused: Any) -> None:
    refusal = await refused(api.stub.CreateVideo(CreateVideoRequest(title="Holiday")))

    assert (refusal.reason, refusal.fields) == ("FIELD_INVALID", {"size_bytes"})


@pytest.mark.parametrize("how", ["uploaded", "PROCESSING", "READY", "FAILED", "CANCELLED", "deleted"])
async def test_source_can_be_uploaded_only_once(api: Any, database: PostgresDatabase, how: str) -> None:
    created = await api.create()
    assert await api.upload(created, b"film") == 200
    if how != "uploaded":
        await end(api, database, created.video.id, how)

    assert await api.upload(created, b"lmfi") == 412


@pytest.mark.parametrize("how", ["PROCESSING", "READY", "FAILED", "CANCELLED"])
async def test_processed_video_gets_no_upload_url(
    api: Any, refused: Any, database: PostgresDatabase, how: str
) -> None:
    created = await api.create(request_id="r1", user_id="ann")
    await api.upload(created)
    await end(api, database, created.video.id, how)

    refusal = await refused(api.create(request_id="r1", user_id="ann"))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "UPLOAD_CLOSED")
    assert refusal.info.metadata["video_id"] == created.video.id
    assert "http" not in refusal.message


async def test_repeated_creation_returns_a_fresh_upload_url(api: Any) -> None:
    first = await api.create(request_id="r1")
    again = await api.create(request_id="r1")

    assert first.video == again.video == await api.stub.GetVideo(GetVideoRequest(id=first.video.id))
    assert await api.upload(again) == 200
    assert await api.upload(first) == 412


async def test_late_uploads_of_a_deleted_video_are_removed(api: Any, database: PostgresDatabase) -> None:
    created = await api.create()
    await api.stub.DeleteVideo(DeleteVideoRequest(id=created.video.id))

    assert await api.upload(created) == 200, "the URL cannot be revoked"
    found = await removals(database)
    assert {(job.video_id, job.number) for job, _ in found} == {(UUID(created.video.id), None)}
    soon, after_expiry, much_later = (delay for _, delay in found)
    assert soon <= timedelta(minutes=1)
    assert timedelta(hours=1) < after_expiry < timedelta(hours=2)  # an upload URL is valid for an hour
    assert much_later > timedelta(hours=24)


async def test_any_worker_removes_objects_of_cancelled_videos(api: Any, database: PostgresDatabase) -> None:
    video_id = await api.uploaded()
    await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))
    await api.stub.CancelProcess(CancelProcessRequest(id=video_id))

    [(job, delay)] = await removals(database)
    assert (job.video_id, job.number) == (UUID(video_id), 1)
    assert delay <= timedelta(seconds=6)


async def test_earlier_publication_survives_a_cancellation(api: Any, database: PostgresDatabase) -> None:
    video_id = await api.uploaded()
    await end(api, database, video_id, "READY")
    await end(api, database, video_id, "CANCELLED")

    assert await removals(database) == []
