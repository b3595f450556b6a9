"""The read door inside a real API answers as the gRPC server does."""

import asyncio
import gzip
import random
import socket
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import grpc
import pytest
from grpc import aio

from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import BatchGetVideosRequest, GetVideoRequest, ListVideosRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from tests.contract.raw_grpc import Reply, Request, call, frame

UNKNOWN = "01890000-0000-7000-8000-000000000001"
LIMIT = 2**20
#: Calls on one connection after which the short path knows their headers.
USUAL = 3


@dataclass(frozen=True)
class Doors:
    """Both ports of one API, whose L1 has the videos `ids`."""

    api: Any
    reference: str
    fast: str
    ids: list[str]

    async def both(self, request: Request) -> tuple[Reply, Reply]:
        reference = await asyncio.to_thread(call, self.reference, request)
        return reference, await asyncio.to_thread(call, self.fast, request)

    async def check(self, *requests: Request) -> list[Reply]:
        """Asserts equal replies, also to a call that the short path may take, and returns them."""
        replies = []
        for number, request in enumerate(requests):
            headers = (("x-request-id", f"doors-{number}"), *request.headers)
            named = Request(request.body, request.method, headers, request.content_type)
            reference, fast = await self.both(named)
            assert fast.outcome == reference.outcome, request
            usual = await asyncio.to_thread(call, self.fast, named, before=USUAL)
            assert usual.outcome == reference.outcome, request
            replies.append(fast)
        return replies


@pytest.fixture
async def doors(start_api: Any) -> Doors:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    api = await start_api(READ_PORT=str(port))
    await api.warm()
    ids = [(await api.create(title=title)).video.id for title in ("Plain", "Ünïcödé ✓", "x" * 200)]
    for video_id in ids:
        while await api.layer(video_id) != "L1":
            pass
    return Doors(api, f"127.0.0.1:{api.port}", f"127.0.0.1:{port}", ids)


def get(video_id: str, min_version: int = 0, **options: Any) -> Request:
    return Request(
        frame(GetVideoRequest(id=video_id, min_version=min_version).SerializeToString()), **options
    )


def batch(*ids: str) -> Request:
    return Request(frame(BatchGetVideosRequest(ids=ids).SerializeToString()), "BatchGetVideos")


async def test_reads_are_answered_alike(doors: Doors) -> None:
    known = doors.ids[0]
    replies = await doors.check(
        *(get(video_id) for video_id in doors.ids),
        *(get(known, version) for version in (1, 99, -1)),
        *(get(video_id) for video_id in (UNKNOWN, UNKNOWN, "", "abc", known.upper(), "x" * 10_000)),
        *(batch(*ids) for ids in (doors.ids, doors.ids[:1] * 100, [], [*doors.ids, UNKNOWN], ["no id"])),
        batch(*(str(UUID(int=number)) for number in range(101))),
    )

    assert {reply.status for reply in replies} == {0, 3, 5, 9}
    assert replies[0].trailers[b"x-cache"] == b"L1"


async def test_malformed_messages_are_answered_alike(doors: Doors) -> None:
    chance = random.Random(5)
    messages = [chance.randbytes(chance.randrange(1, 80)) for _ in range(30)] + [b"\x0a\x02\xff\xfe", b"\xff"]
    good = GetVideoRequest(id=doors.ids[0]).SerializeToString()

    await doors.check(
        *(
            Request(frame(message), method)
            for message in messages
            for method in ("GetVideo", "BatchGetVideos")
        ),
        Request(frame(good) + frame(good)),
        Request(frame(good) + b"garbage"),
        Request(frame(gzip.compress(good), flags=1), headers=(("grpc-encoding", "gzip"),)),
        Request(frame(gzip.compress(good)[:-9], flags=1), headers=(("grpc-encoding", "gzip"),)),
        Request(frame(gzip.compress(b"x" * 2 * LIMIT), flags=1), headers=(("grpc-encoding", "gzip"),)),
        Request(frame(good, flags=1)),
        Request(frame(good), headers=(("grpc-encoding", "br"),)),
    )


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1, 2 * LIMIT])
async def test_message_size_limit_is_enforced_alike(doors: Doors, size: int) -> None:
    varint = GetVideoRequest(min_version=size - 4).SerializeToString()[1:]
    body = frame(b"\x7a" + varint + b"x" * (size - 4))

    [reply] = await doors.check(Request(body))

    assert reply.status == (8 if size > LIMIT else 3)


@pytest.mark.parametrize(
    "header",
    [
        ("grpc-timeout", "0n"),
        ("grpc-timeout", "10S"),
        ("grpc-timeout", "99999999H"),
        ("grpc-timeout", "abc"),
        ("x-data-bin", "!!!"),
        ("x-data-bin", "AP8"),
        ("x-long", "y" * 4000),
        ("grpc-accept-encoding", "gzip"),
        ("user-agent", ""),
    ],
)
async def test_headers_are_handled_alike(doors: Doors, header: tuple[str, str]) -> None:
    await doors.check(get(doors.ids[0], headers=(header,)))


async def test_response_headers_are_equal(doors: Doors) -> None:
    reference, fast = await doors.both(get(doors.ids[0]))

    assert fast.headers == reference.headers
    assert UUID(fast.trailers[b"x-request-id"].decode()).version == 4


async def test_first_read_is_shared_by_both_doors(doors: Doors) -> None:
    video_id = (await doors.api.create()).video.id

    first = await asyncio.to_thread(call, doors.fast, get(video_id))
    second = await asyncio.to_thread(call, doors.reference, get(video_id))

    assert (first.trailers[b"x-cache"], second.trailers[b"x-cache"]) == (b"MISS", b"L1")


async def test_asynchronous_client_is_served(doors: Doors, refused: Any) -> None:
    async with aio.insecure_channel(doors.fast) as channel:
        stub: Any = VideoServiceStub(channel)
        videos = await asyncio.gather(*(stub.GetVideo(GetVideoRequest(id=doors.ids[1])) for _ in range(300)))
        refusal = await refused(stub.GetVideo(GetVideoRequest(id=UNKNOWN)))

    assert {video.title for video in videos} == {"Ünïcödé ✓"}
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "VIDEO_NOT_FOUND")
    assert refusal.details["ResourceInfo"].resource_name == UNKNOWN


async def test_synchronous_client_is_served(doors: Doors) -> None:
    def ask() -> list[Video]:
        with grpc.insecure_channel(doors.fast) as channel:
            reply = VideoServiceStub(channel).BatchGetVideos(BatchGetVideosRequest(ids=doors.ids), timeout=30)
            return list(reply.videos)

    assert [video.id for video in await asyncio.to_thread(ask)] == doors.ids


async def test_change_is_visible_at_once(doors: Doors) -> None:
    video_id = doors.ids[0]
    await doors.api.stub.DeleteVideo(GetVideoRequest(id=video_id))

    reply = await asyncio.to_thread(call, doors.fast, get(video_id))

    assert reply.status == 5


async def test_other_methods_name_full_server(doors: Doors) -> None:
    async with aio.insecure_channel(doors.fast) as channel:
        stub: Any = VideoServiceStub(channel)
        with pytest.raises(aio.AioRpcError) as caught:
            await stub.ListVideos(ListVideosRequest())

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "answers all methods" in str(caught.value.details())


async def test_door_rejects_truncated_message_early(doors: Doors) -> None:
    reply = await asyncio.to_thread(call, doors.fast, Request(frame(b"x" * 9)[:-1]))

    assert reply.status == 13
