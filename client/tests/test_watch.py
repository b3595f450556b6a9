from contextlib import aclosing

import grpc
import pytest

from gostream.v1 import video_pb2
from gostream_client import AsyncClient, GoStreamError, UnreachableError
from gostream_client.watch import MAX_FAILURES
from tests.support.fake_server import VIDEO_ID, ApiServer, Refusal, processing, video

READY = video_pb2.Video.STATUS_READY
GONE = Refusal(grpc.StatusCode.UNAVAILABLE, "the server is stopping")


async def followed(client: AsyncClient, *, min_version: int = 0, idle: float = 20.0) -> list[video_pb2.Video]:
    states = client.watch(VIDEO_ID, min_version=min_version, idle=idle, backoff=0.001)
    async with aclosing(states):
        return [state async for state in states]


async def test_watch_yields_every_state_to_the_end(client: AsyncClient, server: ApiServer) -> None:
    states = [processing(10), processing(60), video(READY, 3)]
    server.api.streams.append([*states])
    assert await followed(client) == states


async def test_broken_stream_is_reopened_without_duplicates(client: AsyncClient, server: ApiServer) -> None:
    server.api.streams.extend([[processing(10), GONE], [processing(10)], [processing(70), video(READY, 3)]])
    assert await followed(client) == [processing(10), processing(70), video(READY, 3)]
    assert len(server.api.requests) == 3


async def test_silent_stream_is_reopened(client: AsyncClient, server: ApiServer) -> None:
    server.api.streams.extend([[processing(10), 60.0], [video(READY, 3)]])
    # Must suffice for the first message, even on a busy machine.
    assert await followed(client, idle=2.0) == [processing(10), video(READY, 3)]


async def test_lagging_replica_does_not_end_the_watch(client: AsyncClient, server: ApiServer) -> None:
    server.api.streams.extend([[video(READY, 3)], [processing(5, version=4), video(READY, 5)]])
    assert await followed(client, min_version=4) == [processing(5, version=4), video(READY, 5)]


async def test_watch_fails_if_the_server_stays_unavailable(client: AsyncClient, server: ApiServer) -> None:
    server.api.streams.extend([[GONE]] * 50)
    with pytest.raises(UnreachableError):
        await followed(client)
    assert len(server.api.requests) == MAX_FAILURES


async def test_refused_watch_is_not_retried(client: AsyncClient, server: ApiServer) -> None:
    server.api.streams.append([Refusal(grpc.StatusCode.NOT_FOUND, "no such video", "VIDEO_NOT_FOUND")])
    with pytest.raises(GoStreamError, match=r"no such video \(VIDEO_NOT_FOUND"):
        await followed(client)
    assert len(server.api.requests) == 1
