"""CompleteUpload: what becomes the source, what is missing, and the encode that starts with it."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import grpc
import pytest

from gostream.v1.upload_pb2 import UploadSession
from gostream.v1.upload_service_pb2_grpc import UploadServiceStub
from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import GetVideoRequest, TriggerProcessRequest
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.object_keys import source_key
from gostream_shared.storage.s3 import S3ObjectStore

from .conftest import PART, SIZE, Uploads, content


async def digest(store: S3ObjectStore, video_id: str) -> str:
    return hashlib.sha256(await store.get(source_key(UUID(video_id)))).hexdigest()


async def jobs(database: PostgresDatabase, entrypoint: str = "transcode") -> int:
    count: int = await database.pool.fetchval(
        "SELECT count(*) FROM pgqueuer WHERE entrypoint = $1", entrypoint
    )
    return count


async def test_parts_become_the_source(
    api: Any, uploads: Uploads, video_id: str, store: S3ObjectStore
) -> None:
    session = await uploads.create(video_id)
    await uploads.send_all(session)

    video = await uploads.complete(session)

    assert video == await api.stub.GetVideo(GetVideoRequest(id=video_id))
    assert (video.status, video.version) == (Video.STATUS_PENDING_UPLOAD, 1)
    assert await digest(store, video_id) == hashlib.sha256(content()).hexdigest()
    assert (await uploads.get(video_id)).state == UploadSession.STATE_COMPLETED
    assert (await store.head(source_key(UUID(video_id)))).size == SIZE
    started = await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))
    assert started.status == Video.STATUS_PROCESSING


async def test_encode_starts_with_the_completion(
    api: Any, uploads: Uploads, video_id: str, database: PostgresDatabase
) -> None:
    session = await uploads.create(video_id)
    await uploads.send_all(session)

    video = await uploads.complete(session, profile="quality")
    again = await uploads.complete(session, profile="quality")

    assert (video.status, video.version) == (Video.STATUS_PROCESSING, 2)
    assert again == video == await api.stub.GetVideo(GetVideoRequest(id=video_id, min_version=2))
    assert await jobs(database) == 1
    assert await database.pool.fetchval("SELECT profile FROM encodes") == "quality"


async def test_repeated_completion_starts_no_second_encode(
    uploads: Uploads, video_id: str, database: PostgresDatabase
) -> None:
    session = await uploads.create(video_id)
    await uploads.send_all(session)
    await uploads.complete(session, profile="")
    await database.encodes.cancel(UUID(video_id))

    video = await uploads.complete(session, profile="")

    assert video.status == Video.STATUS_CANCELLED
    assert await jobs(database) == 1


async def test_concurrent_completion_starts_one_encode(
    uploads: Uploads, video_id: str, database: PostgresDatabase
) -> None:
    session = await uploads.create(video_id)
    await uploads.send_all(session)

    videos = await asyncio.gather(*(uploads.complete(session, profile="") for _ in range(6)))

    assert {video.status for video in videos} == {Video.STATUS_PROCESSING}
    assert await jobs(database) == 1


async def test_completion_names_missing_parts(uploads: Uploads, video_id: str, refused: Any) -> None:
    session = await uploads.create(video_id)
    assert await uploads.send(session, 2, b"12345") == 200

    refusal = await refused(uploads.complete(session, profile=""))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "UPLOAD_INCOMPLETE")
    assert dict(refusal.info.metadata) == {"video_id": video_id, "parts": "1"}
    [violation] = refusal.details["PreconditionFailure"].violations
    assert (violation.type, violation.subject) == ("UPLOAD_INCOMPLETE", video_id)
    assert violation.description.endswith("missing parts: 1")


async def test_at_most_a_hundred_parts_are_named(api: Any, uploads: Uploads, refused: Any) -> None:
    size = 5 << 30
    session = await uploads.create((await api.create(size_bytes=size)).video.id, size)

    refusal = await refused(uploads.complete(session))

    assert refusal.message.startswith("640 parts of video")
    assert refusal.info.metadata["parts"].split(",") == [str(number) for number in range(1, 101)]


async def test_replaced_content_of_a_part_is_never_stored(
    uploads: Uploads, video_id: str, store: S3ObjectStore
) -> None:
    session = await uploads.create(video_id)
    await uploads.send_all(session)
    assert await uploads.send(session, 2, b"wrong") == 200
    while True:  # within one second the order of two contents is not known
        await asyncio.sleep(1.1)
        assert await uploads.send(session, 2, content()[PART:]) == 200
        if len((await uploads.get(video_id)).parts) == 2:
            break

    await uploads.complete(session)

    assert await digest(store, video_id) == hashlib.sha256(content()).hexdigest()


async def test_source_sent_by_put_is_not_replaced(api: Any, store: S3ObjectStore) -> None:
    created = await api.create()
    uploads = Uploads(UploadServiceStub(api.channel))
    session = await uploads.create(created.video.id, 4)
    assert await api.upload(created, b"film") == 200
    assert await uploads.send(session, 1, b"mlif") == 200

    await uploads.complete(session)

    assert await store.get(source_key(UUID(created.video.id))) == b"film"
    assert [found async for found in store.list_multiparts(f"uploads/{created.video.id}/")] == []


async def test_full_queue_keeps_the_session_open(start_api: Callable[..., Any], refused: Any) -> None:
    api = await start_api(QUEUE_LIMIT="1")
    uploads = Uploads(UploadServiceStub(api.channel))
    await api.stub.TriggerProcess(TriggerProcessRequest(id=await api.uploaded()))
    session = await uploads.create((await api.create()).video.id, 4)
    await uploads.send_all(session)

    assert (await refused(uploads.complete(session, profile=""))).reason == "QUEUE_FULL"

    assert (await uploads.get(session.video_id)).state == UploadSession.STATE_OPEN
    assert (await uploads.complete(session)).status == Video.STATUS_PENDING_UPLOAD
    assert (await refused(uploads.complete(session, profile=""))).reason == "QUEUE_FULL"


async def test_completed_session_is_not_aborted(uploads: Uploads, video_id: str, refused: Any) -> None:
    session = await uploads.create(video_id)
    await uploads.send_all(session)
    await uploads.complete(session)

    for call in (uploads.abort(video_id), uploads.create(video_id), uploads.sign(session, 2, b"12345")):
        assert (await refused(call)).reason == "UPLOAD_CLOSED"


async def test_writes_of_a_session_leave_rows(
    uploads: Uploads, video_id: str, database: PostgresDatabase
) -> None:
    first = await uploads.create(video_id)
    await uploads.create(video_id)
    await uploads.abort(video_id)
    await uploads.abort(video_id)
    second = await uploads.create(video_id)
    await uploads.send_all(second)
    for _ in range(2):
        await uploads.complete(second, profile="")

    rows = await database.pool.fetch("SELECT * FROM trail ORDER BY id OFFSET 1")

    assert [(row["method"], row["outcome"]) for row in rows] == [
        ("CreateUpload", "CHANGED"),
        ("CreateUpload", "UNCHANGED"),
        ("AbortUpload", "CHANGED"),
        ("AbortUpload", "UNCHANGED"),
        ("CreateUpload", "CHANGED"),
        ("CompleteUpload", "CHANGED"),
        ("CompleteUpload", "UNCHANGED"),
    ]
    assert [json.loads(row["changed"]) for row in rows if row["outcome"] == "CHANGED"] == [
        {"generation": 1, "size_bytes": SIZE},
        {"generation": 1, "upload_state": "ABORTED"},
        {"generation": 2, "size_bytes": SIZE},
        {
            "generation": 2,
            "upload_state": "COMPLETED",
            "status": "PROCESSING",
            "profile": "default",
            "encode_number": 1,
        },
    ]
    assert first.generation == 1


async def test_parts_do_not_change_the_video(api: Any, uploads: Uploads, video_id: str) -> None:
    await uploads.send_all(await uploads.create(video_id))

    assert (await api.stub.GetVideo(GetVideoRequest(id=video_id))).version == 1


@pytest.mark.parametrize("profile", [None, ""])
async def test_completion_after_a_lost_answer_succeeds(
    uploads: Uploads, video_id: str, store: S3ObjectStore, database: PostgresDatabase, profile: str | None
) -> None:
    session = await uploads.create(video_id)
    await uploads.send_all(session)
    row = await database.upload_sessions.get(UUID(video_id))
    assert row is not None
    key = source_key(UUID(video_id))
    await store.complete_multipart(key, row.store_upload_id, await store.list_parts(key, row.store_upload_id))

    assert (await uploads.get(video_id)).state == UploadSession.STATE_COMPLETED
    video = await uploads.complete(session, profile)

    assert video.status == (Video.STATUS_PENDING_UPLOAD if profile is None else Video.STATUS_PROCESSING)
    stored = await database.upload_sessions.get(UUID(video_id))
    assert stored is not None
    assert stored.state.value == "COMPLETED"
