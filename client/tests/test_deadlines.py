"""Calls to servers that are silent, and servers that return."""

import asyncio
import socket
from time import monotonic

import pytest
from grpc import aio

from client.tests.deadlines import LATE, check_deadlines
from gostream.v1 import video_service_pb2_grpc
from gostream_client import AsyncClient, Client, DeadlineExceededError, UnreachableError
from gostream_client.table import TABLE
from tests.support.fake_server import VIDEO_ID, Api, ApiServer
from tests.support.tcp_proxy import Proxy
from tests.support.waiting import longest_pause

#: Seconds until a server that has returned is used.
BACK_WITHIN = 2.0


async def test_black_hole_does_not_delay_calls() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        await check_deadlines(f"127.0.0.1:{listener.getsockname()[1]}")


@pytest.mark.slow
async def test_half_open_connection_does_not_delay_calls(server: ApiServer) -> None:
    host, _, port = server.address.rpartition(":")
    async with Proxy.to(host, int(port)) as proxy:
        await check_deadlines(f"127.0.0.1:{proxy.port}", prepare=lambda: proxy.blackhole(True))
    assert server.api.requests


async def test_calls_without_timeout_have_the_tables() -> None:
    assert [method for method in TABLE if method.deadline is not None and not 0 < method.deadline <= 60] == []
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Client(f"127.0.0.1:{listener.getsockname()[1]}") as client,
    ):

        def get() -> float:
            start = monotonic()
            with pytest.raises(DeadlineExceededError):
                client.get_video(VIDEO_ID)
            return monotonic() - start

        async with longest_pause() as pause:
            took = await asyncio.to_thread(get)
    assert 1.9 < took < 2 + LATE + 3 * pause()


@pytest.mark.slow
async def test_late_token_does_not_delay_calls(server: ApiServer) -> None:
    async def never() -> str:
        await asyncio.sleep(3600)
        return ""

    await check_deadlines(server.address, token=never)
    assert server.api.requests == []


@pytest.mark.slow
async def test_server_that_returns_is_used_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with AsyncClient(f"127.0.0.1:{port}", timeout=60) as client:
        until = monotonic() + 12  # long enough for attempts to be rare by default
        while monotonic() < until:
            with pytest.raises(UnreachableError):
                await client.get_video(VIDEO_ID)

        server = aio.server()
        video_service_pb2_grpc.add_VideoServiceServicer_to_server(Api(), server)
        assert server.add_insecure_port(f"127.0.0.1:{port}") == port
        async with longest_pause() as pause:
            await server.start()
            start = monotonic()
            while True:
                try:
                    await client.get_video(VIDEO_ID)
                except UnreachableError:
                    continue
                break
            took = monotonic() - start
        await server.stop(None)
    assert took < BACK_WITHIN + 3 * pause()
