"""UpdateVideo, labels, external ids and undeletion over the wire."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import (
    DeleteVideoRequest,
    GetVideoRequest,
    ListVideosRequest,
    TriggerProcessRequest,
    UndeleteVideoRequest,
    UpdateVideoRequest,
)
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.jobs import ExpireJob
from gostream_shared.jobs.pgqueuer import expire_job

from .test_uploads import removals

LABELS = {"course": "42", "term": "2026"}


def stamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def update(video_id: str, *, etag: str = "", **fields: Any) -> UpdateVideoRequest:
    mask = FieldMask(paths=list(fields))
    return UpdateVideoRequest(video=Video(id=video_id, **fields), update_mask=mask, etag=etag)


@pytest.fixture
async def api(start_api: Callable[..., Awaitable[Any]]) -> Any:
    return await start_api(DELETE_RETENTION="1h")


async def test_created_labels_and_external_id_are_returned(api: Any) -> None:
    created = (await api.create(labels=LABELS, external_id="7", user_id="ann")).video

    assert (created.labels, created.external_id) == (LABELS, "7")
    assert await api.stub.GetVideo(GetVideoRequest(id=created.id)) == created
    found = await api.stub.ListVideos(ListVideosRequest(user_id="ann", external_id="7", page_size=1))
    assert list(found.videos) == [created]


async def test_update_is_read_at_once_everywhere(start_api: Callable[..., Awaitable[Any]], api: Any) -> None:
    other = await start_api()
    await other.warm()
    video_id = (await api.create(labels={"old": "1"})).video.id
    await other.stub.GetVideo(GetVideoRequest(id=video_id))
    moment = stamp(datetime.now(UTC) + timedelta(days=1))

    updated = await api.stub.UpdateVideo(
        update(video_id, title="Neu", labels=LABELS, external_id="8", expire_time=moment)
    )

    assert (updated.title, updated.labels, updated.external_id) == ("Neu", LABELS, "8")
    assert (updated.expire_time, updated.version) == (moment, 2)
    request = GetVideoRequest(id=video_id, min_version=updated.version)
    assert await api.stub.GetVideo(request) == await other.stub.GetVideo(request) == updated


async def test_one_of_fifty_updates_with_an_etag_wins(api: Any) -> None:
    created = (await api.create()).video
    requests = [update(created.id, etag=created.etag, title=f"by {number}") for number in range(50)]

    outcomes = await asyncio.gather(
        *(api.stub.UpdateVideo(request, timeout=300) for request in requests), return_exceptions=True
    )

    won = [each for each in outcomes if isinstance(each, Video)]
    codes = {each.code() for each in outcomes if isinstance(each, aio.AioRpcError)}
    assert (len(won), codes) == (1, {grpc.StatusCode.ABORTED})
    assert await api.stub.GetVideo(GetVideoRequest(id=created.id, min_version=2)) == won[0]


async def test_external_id_of_another_video_is_refused(api: Any, refused: Any) -> None:
    await api.create(external_id="7", user_id="ann")
    other = (await api.create(external_id="8", user_id="ann")).video

    for call in (
        api.create(external_id="7", user_id="ann"),
        api.stub.UpdateVideo(update(other.id, external_id="7")),
    ):
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "EXTERNAL_ID_IN_USE")
    assert (await api.create(external_id="7", user_id="bob")).video.external_id == "7"


async def test_request_id_is_bound_to_labels(api: Any, refused: Any) -> None:
    first = await api.create(request_id="r1", labels=LABELS, external_id="7")

    assert (await api.create(request_id="r1", labels=LABELS, external_id="7")).video == first.video
    for other in ({"labels": {"course": "43"}}, {"external_id": "8"}, {}):
        fields: dict[str, Any] = {"labels": LABELS, "external_id": "7"} | other if other else {}
        assert (await refused(api.create(request_id="r1", **fields))).reason == "REQUEST_ID_REUSED"


async def test_expiry_is_a_job_at_that_time(api: Any, database: PostgresDatabase) -> None:
    video_id = (await api.create()).video.id
    expires_at = datetime.now(UTC) + timedelta(days=2)

    for _ in range(2):
        await api.stub.UpdateVideo(update(video_id, expire_time=stamp(expires_at)))

    [row] = await database.pool.fetch(
        "SELECT payload, execute_after - now() AS delay FROM pgqueuer WHERE entrypoint = 'expire'"
    )
    assert expire_job(row["payload"]) == ExpireJob(video_id=UUID(video_id), expires_at=expires_at)
    assert timedelta(days=2) - timedelta(minutes=5) < row["delay"] <= timedelta(days=2)


async def test_deleted_video_can_be_undeleted(api: Any, refused: Any, database: PostgresDatabase) -> None:
    video = (await api.create(labels=LABELS, external_id="7")).video
    await api.stub.DeleteVideo(DeleteVideoRequest(id=video.id))
    assert (await refused(api.stub.GetVideo(GetVideoRequest(id=video.id)))).reason == "VIDEO_NOT_FOUND"
    [hidden] = (await api.stub.ListVideos(ListVideosRequest(show_deleted=True))).videos
    assert (hidden.id, hidden.HasField("delete_time")) == (video.id, True)
    assert (await removals(database))[0][1] > timedelta(minutes=50)

    restored = await api.stub.UndeleteVideo(UndeleteVideoRequest(id=video.id, etag=hidden.etag))

    assert restored == await api.stub.GetVideo(GetVideoRequest(id=video.id))
    assert restored.version == 3
    for message in (restored, video):
        for name in ("version", "etag", "update_time"):
            message.ClearField(name)
    assert restored == video
    assert await database.pool.fetchval("SELECT count(*) FROM uploads") == 1


async def test_watch_and_batch_follow_an_undeletion(api: Any) -> None:
    await api.warm()
    video_id = (await api.create()).video.id
    for _ in range(3):
        await api.stub.GetVideo(GetVideoRequest(id=video_id))
        await api.stub.DeleteVideo(DeleteVideoRequest(id=video_id))
        with pytest.raises(aio.AioRpcError):
            await api.stub.GetVideo(GetVideoRequest(id=video_id))
        restored = await api.stub.UndeleteVideo(UndeleteVideoRequest(id=video_id))
        assert await api.stub.GetVideo(GetVideoRequest(id=video_id)) == restored


async def test_undeletion_is_refused(api: Any, refused: Any) -> None:
    live, permanent = [(await api.create()).video.id for _ in range(2)]
    await api.stub.DeleteVideo(DeleteVideoRequest(id=permanent, permanent=True))

    refusal = await refused(api.stub.UndeleteVideo(UndeleteVideoRequest(id=live)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "VIDEO_NOT_DELETED")
    assert refusal.info.metadata["video_id"] == live
    refusal = await refused(api.stub.UndeleteVideo(UndeleteVideoRequest(id=permanent)))
    assert refusal.reason == "VIDEO_NOT_FOUND"
    await api.stub.DeleteVideo(DeleteVideoRequest(id=live))
    refusal = await refused(api.stub.UndeleteVideo(UndeleteVideoRequest(id=live, etag='"1"')))
    assert refusal.reason == "ETAG_MISMATCH"


async def test_undeleted_processing_stays_cancelled(api: Any) -> None:
    video_id = await api.uploaded()
    await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))
    await api.stub.DeleteVideo(DeleteVideoRequest(id=video_id))

    restored = await api.stub.UndeleteVideo(UndeleteVideoRequest(id=video_id))

    assert restored.status == Video.STATUS_CANCELLED
    again = await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))
    assert (again.status, again.processing.encode_id) == (Video.STATUS_PROCESSING, "2")
