"""BatchGetVideos over a real server, database and Redis."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import grpc
import pytest

from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import (
    BatchGetVideosRequest,
    BatchGetVideosResponse,
    CreateVideoRequest,
    GetVideoRequest,
)
from gostream_api.rpc.encoded_reads import varint

pytestmark = pytest.mark.stack

Refused = Callable[[Any], Awaitable[Any]]


async def create(api: Any, title: str) -> Video:
    reply = await api.stub.CreateVideo(CreateVideoRequest(title=title, size_bytes=4), timeout=60)
    video: Video = reply.video
    return video


async def batch(api: Any, *ids: str) -> tuple[list[Video], str]:
    """The videos and their cache layer."""
    call = api.stub.BatchGetVideos(BatchGetVideosRequest(ids=ids), timeout=60)
    reply: BatchGetVideosResponse = await call
    return list(reply.videos), dict(await call.trailing_metadata())["x-cache"]


async def test_videos_follow_the_requested_order_with_duplicates(api: Any) -> None:
    first, second = [await create(api, title) for title in ("first", "a longer title " * 12)]

    videos, _ = await batch(api, second.id, first.id, second.id)

    assert videos == [second, first, second]


async def test_batch_reports_the_slowest_cache_layer(api: Any) -> None:
    await api.warm()
    near, far = [await create(api, title) for title in ("near", "far")]
    await batch(api, near.id)

    _, layer = await batch(api, near.id, far.id)
    _, later = await batch(api, near.id, far.id)

    assert (layer, later) == ("MISS", "L1")


async def test_batch_returns_the_same_as_single_reads(api: Any) -> None:
    ids = [(await create(api, f"number {number}")).id for number in range(100)]

    videos, _ = await batch(api, *ids)

    assert videos[17] == await api.stub.GetVideo(GetVideoRequest(id=ids[17]), timeout=60)
    assert [video.id for video in videos] == ids


async def test_missing_videos_fail_the_batch_and_are_named(api: Any, refused: Refused) -> None:
    there = await create(api, "there")
    missing = [str(uuid4()) for _ in range(99)]

    refusal = await refused(
        api.stub.BatchGetVideos(BatchGetVideosRequest(ids=[*missing, there.id]), timeout=60)
    )

    assert refusal.code is grpc.StatusCode.NOT_FOUND
    assert refusal.reason == "VIDEO_NOT_FOUND"
    assert refusal.info.metadata["video_ids"].split(",") == missing


@pytest.mark.parametrize(
    ("ids", "fields"),
    [
        ([], {"ids"}),
        ([str(uuid4())] * 101, {"ids"}),
        (["no id", str(uuid4()), str(uuid4()).upper()], {"ids[0]", "ids[2]"}),
        (["no id"] * 100, {f"ids[{position}]" for position in range(10)}),
    ],
)
async def test_invalid_batch_is_refused(api: Any, refused: Refused, ids: list[str], fields: set[str]) -> None:
    refusal = await refused(api.stub.BatchGetVideos(BatchGetVideosRequest(ids=ids), timeout=60))

    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.fields == fields


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 16383, 16384, 2**21, 2**35])
def test_varint_is_read_back_by_protobuf(number: int) -> None:
    min_version = bytes((GetVideoRequest.MIN_VERSION_FIELD_NUMBER << 3,))

    assert GetVideoRequest.FromString(min_version + varint(number)).min_version == number
