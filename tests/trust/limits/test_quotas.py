"""The quotas of owners, as callers of a real API meet them."""

import asyncio
import hashlib
from collections import Counter
from typing import Any

import aiohttp
import asyncpg
import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from yarl import URL

from gostream.v1 import upload_service_pb2 as uploads
from gostream.v1 import video_pb2
from gostream.v1 import video_service_pb2 as messages
from gostream.v1.upload_service_pb2_grpc import UploadServiceStub
from tests.trust.conftest import Api, Metadata, StartApi, caller, outcome

ALICE = "corp:alice"
EXCEEDED = "RESOURCE_EXHAUSTED QUOTA_EXCEEDED"


@pytest.fixture
def alice() -> Metadata:
    return caller("alice", "read", "write")


@pytest.fixture
def bob() -> Metadata:
    return caller("bob", "read", "write")


def create(api: Api, who: Metadata, *, size: int = 4, **fields: Any) -> Any:
    request = messages.CreateVideoRequest(title="Holiday", size_bytes=size, **fields)
    return api.stub.CreateVideo(request, metadata=who, timeout=120)


def trigger(api: Api, who: Metadata, video_id: str) -> Any:
    return api.stub.TriggerProcess(messages.TriggerProcessRequest(id=video_id), metadata=who, timeout=120)


async def uploaded(api: Api, who: Metadata, **fields: Any) -> str:
    created = await create(api, who, **fields)
    upload = created.upload
    async with (
        aiohttp.ClientSession() as session,
        session.request(upload.method, upload.url, headers=dict(upload.headers), data=b"film") as put,
    ):
        assert put.status == 200
    return str(created.video.id)


async def endings(calls: list[Any]) -> Counter[str]:
    return Counter(str(end) for end in await asyncio.gather(*map(outcome, calls)))


async def usage(database_url: str, owner: str = ALICE) -> tuple[int, ...]:
    connection = await asyncpg.connect(database_url)
    row = await connection.fetchrow(
        "SELECT videos, stored_bytes, encodes FROM owner_usage WHERE owner = $1", owner
    )
    await connection.close()
    return tuple(row) if row else (0, 0, 0)


async def test_concurrent_creates_stay_within_the_quota(
    start_api: StartApi, database_url: str, alice: Metadata, bob: Metadata
) -> None:
    """Over two replicas, because no process may count alone."""
    replicas = [await start_api(QUOTA_VIDEOS="5") for _ in range(2)]

    ends = await endings([create(replicas[n % 2], alice) for n in range(24)])

    assert ends == {"OK": 5, EXCEEDED: 19}
    assert await usage(database_url) == (5, 20, 0)
    await create(replicas[0], bob)


async def test_undeleted_videos_count(start_api: StartApi, database_url: str, alice: Metadata) -> None:
    """Deletion and undeletion must not be a way around the quota."""
    api = await start_api(QUOTA_VIDEOS="1")
    first = (await create(api, alice)).video.id
    undelete = messages.UndeleteVideoRequest(id=first)
    await api.stub.DeleteVideo(messages.DeleteVideoRequest(id=first), metadata=alice, timeout=60)
    second = (await create(api, alice)).video.id

    assert str(await outcome(api.stub.UndeleteVideo(undelete, metadata=alice, timeout=60))) == EXCEEDED
    assert await usage(database_url) == (1, 8, 0)
    await api.stub.DeleteVideo(messages.DeleteVideoRequest(id=second), metadata=alice, timeout=60)
    await api.stub.UndeleteVideo(undelete, metadata=alice, timeout=60)
    assert await usage(database_url) == (1, 8, 0)


async def test_completed_upload_counts_as_an_encode(start_api: StartApi, alice: Metadata) -> None:
    api = await start_api(QUOTA_ENCODES="1")
    await trigger(api, alice, await uploaded(api, alice))
    stub: Any = UploadServiceStub(api.doors["grpc.aio"].channel)
    video_id = (await create(api, alice)).video.id
    session = await stub.CreateUpload(
        uploads.CreateUploadRequest(video_id=video_id), metadata=alice, timeout=120
    )
    part = uploads.SignPartsRequest.Part(number=1, md5=hashlib.md5(b"film").digest())  # noqa: S324
    sign = uploads.SignPartsRequest(video_id=video_id, generation=session.generation, parts=[part])
    [signed] = (await stub.SignParts(sign, metadata=alice, timeout=120)).parts
    async with (
        aiohttp.ClientSession() as http,
        http.put(URL(signed.url, encoded=True), headers=dict(signed.headers), data=b"film") as put,
    ):
        assert put.status == 200

    request = uploads.CompleteUploadRequest(video_id=video_id, generation=session.generation)
    started = uploads.CompleteUploadRequest(process=messages.ProcessOptions())
    started.MergeFrom(request)
    assert str(await outcome(stub.CompleteUpload(started, metadata=alice, timeout=120))) == EXCEEDED

    video = await stub.CompleteUpload(request, metadata=alice, timeout=120)
    assert video.status == video_pb2.Video.STATUS_PENDING_UPLOAD


async def test_video_from_a_url_uses_both_quotas(
    start_api: StartApi, database_url: str, alice: Metadata, bob: Metadata
) -> None:
    api = await start_api(QUOTA_VIDEOS="3", QUOTA_ENCODES="2")
    url = "https://films.example.com/a.mp4"

    ends = await endings([create(api, alice, size=0, source_url=url) for _ in range(6)])

    assert ends == {"OK": 2, EXCEEDED: 4}
    assert await usage(database_url) == (2, 0, 2), "a refused call leaves no video"
    for _ in range(2):
        await create(api, bob)
    assert await endings([create(api, bob, size=0, source_url=url) for _ in range(2)]) == {
        "OK": 1,
        EXCEEDED: 1,
    }


async def test_refusal_names_the_quota(start_api: StartApi, alice: Metadata) -> None:
    api = await start_api(QUOTA_VIDEOS="1")
    await create(api, alice)

    with pytest.raises(aio.AioRpcError) as caught:
        await create(api, alice)

    trailers = dict(caught.value.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info, failure = error_details_pb2.ErrorInfo(), error_details_pb2.QuotaFailure()
    assert [status.details[0].Unpack(info), status.details[1].Unpack(failure)] == [True, True]
    assert len(status.details) == 2, "no RetryInfo: a retry does not help"
    assert "grpc-retry-pushback-ms" not in trailers
    assert dict(info.metadata) == {"quota": "videos", "limit": "1"}
    assert failure.violations[0].subject == f"owner:{ALICE}"
    assert caught.value.details() == "this owner may have at most 1 videos"


async def test_deleted_video_makes_room(start_api: StartApi, alice: Metadata) -> None:
    api = await start_api(QUOTA_VIDEOS="1")
    video_id = (await create(api, alice)).video.id
    assert str(await outcome(create(api, alice))) == EXCEEDED

    await api.stub.DeleteVideo(messages.DeleteVideoRequest(id=video_id), metadata=alice, timeout=120)

    await create(api, alice)


async def test_restored_video_needs_room(start_api: StartApi, database_url: str, alice: Metadata) -> None:
    api = await start_api(QUOTA_VIDEOS="1")
    first = (await create(api, alice)).video.id
    await api.stub.DeleteVideo(messages.DeleteVideoRequest(id=first), metadata=alice, timeout=120)
    second = (await create(api, alice)).video.id
    undelete = messages.UndeleteVideoRequest(id=first)

    assert str(await outcome(api.stub.UndeleteVideo(undelete, metadata=alice, timeout=120))) == EXCEEDED

    assert (await usage(database_url))[0] == 1
    await api.stub.DeleteVideo(messages.DeleteVideoRequest(id=second), metadata=alice, timeout=120)
    await api.stub.UndeleteVideo(undelete, metadata=alice, timeout=120)
    assert (await usage(database_url))[:2] == (1, 8), "the bytes of the deleted video are still stored"


async def test_repeated_request_is_answered_at_the_limit(start_api: StartApi, alice: Metadata) -> None:
    api = await start_api(QUOTA_VIDEOS="1")
    first = await create(api, alice, request_id="r1")

    assert (await create(api, alice, request_id="r1")).video.id == first.video.id
    assert str(await outcome(create(api, alice, request_id="r2"))) == EXCEEDED


async def test_declared_bytes_are_limited(start_api: StartApi, database_url: str, alice: Metadata) -> None:
    api = await start_api(QUOTA_STORED_BYTES="100")

    ends = await endings([create(api, alice, size=30) for _ in range(8)])

    assert ends == {"OK": 3, EXCEEDED: 5}
    assert await usage(database_url) == (3, 90, 0)
    await create(api, alice, size=10)


async def test_undeclared_bytes_count_when_processed(start_api: StartApi, alice: Metadata) -> None:
    api = await start_api(QUOTA_STORED_BYTES="5", UPLOAD_SIZE_REQUIRED="false")
    first, second = [await uploaded(api, alice, size=0) for _ in range(2)]

    await trigger(api, alice, first)

    assert str(await outcome(trigger(api, alice, second))) == EXCEEDED


async def test_concurrent_encodes_stay_within_the_quota(
    start_api: StartApi, database_url: str, alice: Metadata
) -> None:
    api = await start_api(QUOTA_ENCODES="2")
    videos = [await uploaded(api, alice) for _ in range(6)]

    ends = await endings([trigger(api, alice, video_id) for video_id in videos])

    assert ends == {"OK": 2, EXCEEDED: 4}
    assert (await usage(database_url))[2] == 2
    states = [
        (await api.stub.GetVideo(messages.GetVideoRequest(id=each), metadata=alice, timeout=120)).status
        for each in videos
    ]
    processing, waiting = video_pb2.Video.STATUS_PROCESSING, video_pb2.Video.STATUS_PENDING_UPLOAD
    assert Counter(states) == {processing: 2, waiting: 4}, "a refused trigger leaves no trace"


async def test_waiting_encodes_of_an_owner_are_limited(
    start_api: StartApi, alice: Metadata, bob: Metadata
) -> None:
    api = await start_api(QUEUE_LIMIT_PER_OWNER="1")
    videos = [await uploaded(api, alice) for _ in range(2)]
    await trigger(api, alice, videos[0])

    with pytest.raises(aio.AioRpcError, match="encodes of this owner") as caught:
        await trigger(api, alice, videos[1])

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "QUEUE_FULL" in str(await outcome(trigger(api, alice, videos[1])))
    await trigger(api, bob, await uploaded(api, bob))


async def test_exception_of_an_owner_replaces_the_quota(
    start_api: StartApi, database_url: str, alice: Metadata, bob: Metadata
) -> None:
    api = await start_api(QUOTA_VIDEOS="1")
    connection = await asyncpg.connect(database_url)
    await connection.execute("INSERT INTO owner_limits (owner, videos) VALUES ($1, 3)", ALICE)
    await connection.close()

    assert await endings([create(api, alice) for _ in range(6)]) == {"OK": 3, EXCEEDED: 3}
    assert await endings([create(api, bob) for _ in range(2)]) == {"OK": 1, EXCEEDED: 1}


async def test_admin_creates_within_the_quota_of_the_owner(start_api: StartApi, alice: Metadata) -> None:
    api = await start_api(QUOTA_VIDEOS="2")
    for _ in range(2):
        await api.create(ALICE)

    assert str(await outcome(create(api, api.admin, user_id=ALICE))) == EXCEEDED
    await api.create("corp:bob")


async def test_open_api_has_no_quotas(start_api: StartApi) -> None:
    api = await start_api(
        AUTH_MODE="none", QUOTA_VIDEOS="1", RATE_CREATES="1", RATE_WRITES="1", RATE_READS="1"
    )

    ends = await endings([create(api, (), user_id="ann") for _ in range(6)])

    assert ends == {"OK": 6}
