"""Upload sessions: opening, resuming, signing, aborting, generations."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest

from gostream.v1 import upload_service_pb2 as messages
from gostream.v1.upload_pb2 import UploadSession
from gostream.v1.upload_service_pb2_grpc import UploadServiceStub
from gostream.v1.video_service_pb2 import DeleteVideoRequest
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.object_keys import source_key
from gostream_shared.domain.uploads import part_size_of
from gostream_shared.jobs.pgqueuer import EXPIRE_UPLOAD, expire_upload_job
from gostream_shared.storage.s3 import S3ObjectStore

from .conftest import PART, SIZE, Uploads, content, md5, put

MIB = 1 << 20


async def unfinished(store: S3ObjectStore, video_id: str) -> list[str]:
    """The ids of the multipart uploads of a video in the store."""
    return [found.upload_id async for found in store.list_multiparts(f"uploads/{video_id}/")]


@pytest.mark.parametrize(
    ("size", "part"),
    [
        (1, 8 * MIB),
        (72_000 * MIB, 8 * MIB),
        (72_000 * MIB + 1, 9 * MIB),
        (5 << 40, 583 * MIB),
    ],
)
def test_parts_grow_with_the_source(size: int, part: int) -> None:
    assert part_size_of(size) == part
    assert -(-size // part) <= 9000


async def test_session_describes_its_parts(uploads: Uploads, video_id: str, store: S3ObjectStore) -> None:
    session = await uploads.create(video_id)

    assert session.state == UploadSession.STATE_OPEN
    assert (session.generation, session.size_bytes, session.part_size) == (1, SIZE, PART)
    assert (session.part_count, list(session.parts)) == (2, [])
    assert len(await unfinished(store, video_id)) == 1


async def test_open_session_is_returned_with_its_parts(
    uploads: Uploads, video_id: str, store: S3ObjectStore
) -> None:
    session = await uploads.create(video_id)
    assert await uploads.send(session, 2, b"12345") == 200

    again, got = await uploads.create(video_id), await uploads.get(video_id)

    assert again == got
    assert [(part.number, part.size_bytes, part.md5) for part in got.parts] == [(2, 5, md5(b"12345"))]
    assert (got.generation, len(await unfinished(store, video_id))) == (1, 1)


async def test_part_sent_twice_is_listed_once(uploads: Uploads, video_id: str) -> None:
    session = await uploads.create(video_id)
    for _ in range(2):
        assert await uploads.send(session, 2, b"12345") == 200

    assert [(part.number, part.md5) for part in (await uploads.get(video_id)).parts] == [(2, md5(b"12345"))]


async def test_concurrent_creation_opens_one_session(
    uploads: Uploads, video_id: str, store: S3ObjectStore
) -> None:
    sessions = await asyncio.gather(*(uploads.create(video_id) for _ in range(8)))

    assert {(session.generation, session.state) for session in sessions} == {(1, UploadSession.STATE_OPEN)}
    assert len(await unfinished(store, video_id)) == 1


async def test_store_refuses_what_was_not_signed(uploads: Uploads, video_id: str) -> None:
    session = await uploads.create(video_id)
    part = await uploads.sign(session, 2, b"12345")
    first = await uploads.sign(session, 1, content(PART))

    assert await put(part, b"54321") == 400
    assert await put(part, b"123456") == 403
    assert await put(part, b"1234") == 403
    part.headers["Content-MD5"] = first.headers["Content-MD5"]
    assert await put(part, b"12345") == 403
    assert not (await uploads.get(video_id)).parts


@pytest.mark.parametrize("number", [0, 3, -1, 2**31 - 1])
async def test_only_parts_of_the_session_are_signed(
    uploads: Uploads, video_id: str, refused: Any, number: int
) -> None:
    session = await uploads.create(video_id)

    refusal = await refused(uploads.sign(session, number, b"12345"))

    assert (refusal.reason, refusal.fields) == ("FIELD_INVALID", {"parts[0].number"})


async def test_wrong_requests_name_all_fields(uploads: Uploads, refused: Any) -> None:
    part = messages.SignPartsRequest.Part(number=1, md5=b"short")
    request = messages.SignPartsRequest(video_id="x", parts=[part, part])
    many = messages.SignPartsRequest(
        video_id=str(uuid4()),
        generation=1,
        parts=[messages.SignPartsRequest.Part(number=n + 1, md5=bytes(16)) for n in range(33)],
    )
    process = messages.CompleteUploadRequest(video_id=str(uuid4()))
    process.process.profile = "none"

    expected = {"video_id", "generation", "parts[0].md5", "parts[1].md5", "parts"}
    assert (await refused(uploads.stub.SignParts(request))).fields == expected
    assert (await refused(uploads.stub.SignParts(many))).fields == {"parts"}
    wrong = await refused(uploads.stub.CompleteUpload(process))
    assert wrong.fields == {"generation", "process.profile"}
    assert (await refused(uploads.create(str(uuid4()), -1))).fields == {"size_bytes"}


async def test_size_must_equal_that_of_create_video(
    api: Any, uploads: Uploads, video_id: str, refused: Any
) -> None:
    for size in (SIZE + 1, 2**62):
        assert (await refused(uploads.create(video_id, size))).fields == {"size_bytes"}
    assert (await uploads.create(video_id, 0)).size_bytes == SIZE


async def test_size_may_come_from_create_upload(start_api: Callable[..., Any], refused: Any) -> None:
    api = await start_api(UPLOAD_SIZE_REQUIRED="false")
    uploads, video_id = Uploads(UploadServiceStub(api.channel)), (await api.create(size_bytes=0)).video.id

    assert (await refused(uploads.create(video_id, 0))).fields == {"size_bytes"}
    assert (await uploads.create(video_id, 7)).size_bytes == 7
    assert (await refused(uploads.create(video_id, 8))).fields == {"size_bytes"}


async def test_video_without_session_is_closed(uploads: Uploads, video_id: str, refused: Any) -> None:
    session = UploadSession(video_id=video_id, generation=1)
    for call in (uploads.get(video_id), uploads.sign(session, 1, b""), uploads.complete(session)):
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "UPLOAD_CLOSED")
    assert (await refused(uploads.get(str(uuid4())))).reason == "VIDEO_NOT_FOUND"


async def test_uploaded_video_gets_no_session(api: Any, uploads: Uploads, refused: Any) -> None:
    video_id = await api.uploaded()

    assert (await refused(uploads.create(video_id, 4))).reason == "UPLOAD_CLOSED"


async def test_aborted_session_has_a_successor(
    uploads: Uploads, video_id: str, refused: Any, store: S3ObjectStore
) -> None:
    session = await uploads.create(video_id)
    old = await uploads.sign(session, 2, b"12345")

    assert (await uploads.abort(video_id)).state == UploadSession.STATE_ABORTED
    assert (await uploads.abort(video_id)).state == UploadSession.STATE_ABORTED
    assert await unfinished(store, video_id) == []
    assert (await refused(uploads.sign(session, 2, b"12345"))).reason == "UPLOAD_CLOSED"
    second = await uploads.create(video_id)

    assert (second.generation, second.state) == (2, UploadSession.STATE_OPEN)
    assert await put(old, b"12345") == 404, "the URL of an earlier generation"
    for call in (uploads.sign(session, 2, b"12345"), uploads.complete(session)):
        assert (await refused(call)).reason == "UPLOAD_CLOSED"
    await uploads.send_all(second)
    await uploads.complete(second)


async def test_session_whose_parts_are_lost_is_replaced(
    uploads: Uploads, video_id: str, refused: Any, store: S3ObjectStore
) -> None:
    session = await uploads.create(video_id)
    await store.abort_multipart_uploads(f"uploads/{video_id}/")

    assert (await uploads.get(video_id)).state == UploadSession.STATE_ABORTED
    assert (await refused(uploads.complete(session))).reason == "UPLOAD_CLOSED"
    second = await uploads.create(video_id)
    await uploads.send_all(second)
    await uploads.complete(second)

    assert second.generation == 2


async def test_expired_session_is_replaced(
    uploads: Uploads, video_id: str, refused: Any, database: PostgresDatabase
) -> None:
    session = await uploads.create(video_id)
    await uploads.send_all(session)
    await database.pool.execute("UPDATE upload_sessions SET expires_at = now()")

    assert (await uploads.get(video_id)).state == UploadSession.STATE_EXPIRED
    for call in (uploads.sign(session, 2, b"12345"), uploads.complete(session)):
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "UPLOAD_EXPIRED")
    assert (await uploads.create(video_id)).generation == 2


async def test_expiry_is_enqueued_with_the_session(
    uploads: Uploads, video_id: str, database: PostgresDatabase, store: S3ObjectStore
) -> None:
    session = await uploads.create(video_id)

    row = await database.pool.fetchrow(
        "SELECT payload, execute_after - now() AS delay FROM pgqueuer WHERE entrypoint = $1", EXPIRE_UPLOAD
    )
    assert row is not None
    job = expire_upload_job(row["payload"])
    assert (str(job.video_id), job.generation) == (video_id, 1)
    assert [job.store_upload_id] == await unfinished(store, video_id)
    assert 23 < row["delay"].total_seconds() / 3600 <= 24
    left = await database.pool.fetchval("SELECT expires_at FROM uploads WHERE video_id = $1", job.video_id)
    assert abs((left - session.expire_time.ToDatetime(left.tzinfo)).total_seconds()) < 1


async def test_deleted_video_has_no_session(
    api: Any, uploads: Uploads, video_id: str, refused: Any, store: S3ObjectStore
) -> None:
    session = await uploads.create(video_id)
    await uploads.send_all(session)
    await api.stub.DeleteVideo(DeleteVideoRequest(id=video_id))

    for call in (uploads.create(video_id), uploads.get(video_id), uploads.complete(session)):
        assert (await refused(call)).reason == "VIDEO_NOT_FOUND"
    assert [found async for found in store.list(source_key(UUID(video_id)))] == []
