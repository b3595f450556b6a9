"""Create, process, get and delete over the wire, with a real database, Redis and object store."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest

from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import (
    CreateVideoRequest,
    DeleteVideoRequest,
    GetVideoRequest,
    TriggerProcessRequest,
)
from gostream_shared.db.database import PostgresDatabase


async def test_created_video_is_readable_and_accepts_an_upload(api: Any) -> None:
    before = datetime.now(UTC)
    created = await api.create(title="Été 🎬", user_id="ann", content_type="video/mp4", size_bytes=4)

    video, request = created.video, created.upload
    assert (video.status, video.version, video.playback_url) == (Video.STATUS_PENDING_UPLOAD, 1, "")
    assert (video.title, video.user_id) == ("Été 🎬", "ann")
    assert UUID(video.id).version == 7
    assert not video.HasField("processing")
    expires = request.expire_time.ToDatetime(UTC)
    assert before < expires < before + timedelta(hours=1, minutes=5)
    assert request.headers["Content-Type"] == "video/mp4"
    assert await api.upload(created, b"film") == 200
    assert await api.stub.GetVideo(GetVideoRequest(id=video.id)) == video


async def test_store_refuses_uploads_of_another_size(api: Any) -> None:
    created = await api.create(size_bytes=4)

    assert await api.upload(created, b"another film") == 403


async def test_creation_removes_the_negative_entry(
    api: Any, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.warm()
    wanted = uuid4()
    assert (await refused(api.stub.GetVideo(GetVideoRequest(id=str(wanted))))).reason == "VIDEO_NOT_FOUND"
    monkeypatch.setattr("gostream_api.videos.video_service.new_id", lambda: wanted)

    created = await api.create()

    assert await api.stub.GetVideo(GetVideoRequest(id=str(wanted))) == created.video


async def test_request_id_makes_creation_idempotent(
    api: Any, refused: Any, database: PostgresDatabase
) -> None:
    repeated = await asyncio.gather(*(api.create(request_id="r1") for _ in range(8)))

    refusal = await refused(
        api.stub.CreateVideo(CreateVideoRequest(title="Something else", request_id="r1", size_bytes=4))
    )

    assert len({created.video.id for created in repeated}) == 1
    assert all(created.upload.url for created in repeated)
    assert (refusal.reason, refusal.fields) == ("REQUEST_ID_REUSED", {"request_id"})
    assert await database.pool.fetchval("SELECT count(*) FROM videos") == 1


async def test_request_id_of_a_deleted_video_is_refused(api: Any, refused: Any) -> None:
    created = await api.create(request_id="r1")
    await api.stub.DeleteVideo(DeleteVideoRequest(id=created.video.id))

    refusal = await refused(api.create(request_id="r1"))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
    assert refusal.message == "the request_id was used before for a deleted video"


async def test_request_ids_are_scoped_to_the_owner(api: Any) -> None:
    created = [await api.create(request_id="r1", user_id=owner, title=owner) for owner in ("ann", "bob")]

    assert len({each.video.id for each in created}) == 2


async def test_every_invalid_field_is_named(api: Any, refused: Any) -> None:
    refusal = await refused(
        api.stub.CreateVideo(
            CreateVideoRequest(
                title="a\nb" + "x" * 300,
                user_id="u" * 129,
                content_type="text/html",
                size_bytes=-1,
                request_id="\x00",
            )
        )
    )

    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.fields == {"title", "user_id", "content_type", "size_bytes", "request_id"}


async def test_x_cache_names_the_cache_layer(api: Any) -> None:
    await api.warm()
    video_id = (await api.create()).video.id

    assert [await api.layer(video_id) for _ in range(2)] == ["MISS", "L1"]


async def test_writer_reads_its_own_write_immediately(api: Any) -> None:
    await api.warm()
    video_id = await api.uploaded()
    await api.stub.GetVideo(GetVideoRequest(id=video_id))

    triggered = await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))

    assert await api.stub.GetVideo(GetVideoRequest(id=video_id)) == triggered


async def test_another_replica_serves_the_requested_version(
    start_api: Callable[..., Awaitable[Any]],
) -> None:
    one, other = await start_api(), await start_api()
    await other.warm()
    video_id = await one.uploaded()
    await other.stub.GetVideo(GetVideoRequest(id=video_id))

    triggered = await one.stub.TriggerProcess(TriggerProcessRequest(id=video_id))

    request = GetVideoRequest(id=video_id, min_version=triggered.version)
    assert await other.stub.GetVideo(request) == triggered


async def test_unreached_version_is_refused(api: Any, refused: Any) -> None:
    video_id = (await api.create()).video.id

    refusal = await refused(api.stub.GetVideo(GetVideoRequest(id=video_id, min_version=2**62)))

    assert refusal.reason == "VERSION_NOT_REACHED"


async def test_every_method_returns_not_found_for_unknown_video(api: Any, refused: Any) -> None:
    unknown = str(uuid4())

    for call in (
        api.stub.GetVideo(GetVideoRequest(id=unknown)),
        api.stub.TriggerProcess(TriggerProcessRequest(id=unknown)),
        api.stub.DeleteVideo(DeleteVideoRequest(id=unknown)),
    ):
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "VIDEO_NOT_FOUND")
        assert refusal.details["ResourceInfo"].resource_name == unknown


async def test_deleted_video_is_gone_and_its_objects_follow(
    api: Any, refused: Any, database: PostgresDatabase
) -> None:
    await api.warm()
    created = await api.create()
    await api.stub.GetVideo(GetVideoRequest(id=created.video.id))

    await api.stub.DeleteVideo(DeleteVideoRequest(id=created.video.id, etag=created.video.etag))

    assert (
        await refused(api.stub.GetVideo(GetVideoRequest(id=created.video.id)))
    ).reason == "VIDEO_NOT_FOUND"
    job, *_ = await database.pool.fetch(
        "SELECT entrypoint, payload, execute_after - now() AS delay FROM pgqueuer ORDER BY execute_after"
    )
    assert job["entrypoint"] == "remove"
    assert created.video.id.encode() in job["payload"]
    assert timedelta(seconds=30) < job["delay"] <= timedelta(minutes=1)


async def test_delete_with_another_etag_is_aborted(api: Any, refused: Any) -> None:
    created = await api.create()

    for etag in ('"99"', "1", 'W/"1"', '"0"', '"1" ', '"1"\n', "x" * 10_000):
        refusal = await refused(api.stub.DeleteVideo(DeleteVideoRequest(id=created.video.id, etag=etag)))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")

    assert await api.stub.GetVideo(GetVideoRequest(id=created.video.id)) == created.video


async def test_deadline_cancels_the_database_statement(
    api: Any, database: PostgresDatabase, eventually: Any
) -> None:
    async def waiting() -> int:
        count: int = await database.pool.fetchval(
            """SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'"""
        )
        return count

    async def waits_or_is_over() -> bool:
        return await waiting() > 0 or call.done()

    async def nobody_waits() -> bool:
        return await waiting() == 0

    video_id = await api.uploaded()
    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT 1 FROM videos WHERE id = $1 FOR UPDATE", UUID(video_id))
        call = api.stub.TriggerProcess(TriggerProcessRequest(id=video_id), timeout=2)
        await eventually(waits_or_is_over)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        await eventually(nobody_waits, within=4)  # a statement's own limit is 5 s

    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert (await database.videos.get(UUID(video_id))).version == 1
