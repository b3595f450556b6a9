"""Watches, waits and calls of both clients go on when a replica goes away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest

from gostream_client import AsyncClient, Client, ServerStoppingError, Video
from tests.support.fake_server import VIDEO_ID, Api, ApiServer, Refusal, processing, serve_api, video
from tests.support.waiting import eventually

READY = video(Video.STATUS_READY, 3)
UNAVAILABLE = Refusal(grpc.StatusCode.UNAVAILABLE, "stopping", "SERVER_STOPPING")
Run = Callable[[str, Callable[[Any], Any]], Coroutine[Any, Any, Any]]


@pytest.fixture(params=["asyncio", "blocking"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a function of a client of the servers, in a thread if the client is blocking."""

    def blocking(servers: str, work: Callable[[Any], Any]) -> Any:
        with Client(servers, timeout=60) as client:
            result = work(client)
            return list(result) if hasattr(result, "send") else result

    async def asynchronous(servers: str, work: Callable[[Any], Any]) -> Any:
        async with AsyncClient(servers, timeout=60) as client:
            result = work(client)
            return [each async for each in result] if hasattr(result, "asend") else await result

    async def run(servers: str, work: Callable[[Any], Any]) -> Any:
        if request.param == "blocking":
            return await asyncio.to_thread(blocking, servers, work)
        return await asynchronous(servers, work)

    return run


class Pair:
    """Two servers, of which each can be stopped."""

    def __init__(self) -> None:
        self.servers: dict[str, ApiServer] = {}
        self.stops: dict[str, AsyncExitStack] = {}

    @property
    def addresses(self) -> str:
        return ",".join(self.servers)

    async def start(self) -> None:
        stop = AsyncExitStack()
        server = await stop.enter_async_context(serve_api(Api()))
        server.api.streams.append([processing(10), 3600.0])
        self.servers[server.address], self.stops[server.address] = server, stop

    async def stop_the_used_one(self) -> Api:
        """Stops the server that was called. Returns the API of the other one."""
        [used, other] = sorted(self.servers.values(), key=lambda server: not server.api.requests)
        await self.stops.pop(used.address).aclose()
        return other.api


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = Pair()
    try:
        for _ in range(2):
            await pair.start()
        yield pair
    finally:
        for stop in pair.stops.values():
            await stop.aclose()


def called(pair: Pair) -> bool:
    return any(server.api.requests for server in pair.servers.values())


async def stop_in_the_middle(pair: Pair, running: "asyncio.Task[Any]") -> Any:
    """Stops the replica that streams. Returns the result of the client."""
    for server in pair.servers.values():
        server.api.streams.append([processing(70), READY])
    await eventually(lambda: called(pair))
    other = await pair.stop_the_used_one()
    other.streams.popleft()
    return await running


async def test_watch_continues_on_another_replica(run: Run, pair: Pair) -> None:
    running = asyncio.create_task(run(pair.addresses, lambda client: client.watch(VIDEO_ID, backoff=0.01)))

    states = await stop_in_the_middle(pair, running)
    assert states[-2:] == [processing(70), READY]


async def test_wait_continues_on_another_replica(run: Run, pair: Pair) -> None:
    running = asyncio.create_task(run(pair.addresses, lambda client: client.wait(VIDEO_ID, timeout=300)))

    assert await stop_in_the_middle(pair, running) == READY


async def test_repeated_writes_have_one_request_id(run: Run, server: ApiServer) -> None:
    server.api.refusals.append(UNAVAILABLE)
    await run(server.address, lambda client: client.create_video(title="T"))
    server.api.refusals.append(UNAVAILABLE)
    await run(server.address, lambda client: client.trigger_process(VIDEO_ID))

    ids = [request.request_id for request in server.api.requests]
    assert len(ids) == 4
    assert ids[0] == ids[1] != ids[2] == ids[3]


async def test_other_writes_are_sent_once(run: Run, server: ApiServer) -> None:
    server.api.refusals.append(UNAVAILABLE)

    with pytest.raises(ServerStoppingError):
        await run(server.address, lambda client: client.cancel_process(VIDEO_ID))
    assert len(server.api.requests) == 1
