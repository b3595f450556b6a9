"""A caller that leaves the fast door early does not affect other callers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import aiohttp
import grpc
import pytest
from grpc import aio
from prometheus_client.parser import text_string_to_metric_families

from gostream.v1.video_service_pb2 import CreateVideoRequest, GetVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_devstack.instance.stack import Stack
from gostream_devstack.servers.fast_door import Door
from gostream_shared.cache.compose import Cache, open_cache
from gostream_shared.cache.protocol import CacheUnavailableError, Lease
from gostream_shared.config import Config, load
from gostream_shared.db.database import PostgresDatabase

pytestmark = pytest.mark.stack

PATIENCE = 300.0


@pytest.fixture
def door(stack: Stack) -> Door:
    front = stack.servers["envoy"]
    if not isinstance(front, Door):
        pytest.skip("there is no fast door here")
    return front


async def counted(door: Door, name: str, **labels: str) -> float:
    """Reads a metric of the door."""
    async with aiohttp.ClientSession() as session, session.get(door.metrics_url) as answer:
        text = await answer.text()
    samples = (each for family in text_string_to_metric_families(text) for each in family.samples)
    return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())


async def waiting(door: Door) -> float:
    return await counted(door, "gostream_rpc_in_flight", method="/gostream.v1.VideoService/GetVideo")


async def cancelled(door: Door) -> float:
    return await counted(door, "gostream_rpc_handled_total", code="CANCELLED")


async def flights_given_up(door: Door) -> float:
    return await counted(door, "gostream_flight_total", role="cancelled")


async def becomes(expected: float, door: Door, metric: Callable[[Door], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while await metric(door) != expected:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def slow_video(stack: Stack) -> AsyncIterator[str]:
    """An uncached video whose lease another process holds, so that readers wait 1 to 2 s."""
    config = load(Config, stack.env)
    async with (
        aio.insecure_channel(stack.apis[0].address) as channel,
        PostgresDatabase.open(stack.env["DATABASE_URL"]) as database,
        open_cache(config, outbox=database.outbox, epochs=database.epochs, subscribe=False) as cache,
    ):
        create: Any = VideoServiceStub(channel).CreateVideo
        video_id = (await create(CreateVideoRequest(title="slow", size_bytes=4), timeout=PATIENCE)).video.id
        async with asyncio.timeout(PATIENCE):
            while not await is_leased(cache, UUID(video_id)):
                await asyncio.sleep(0.01)
        yield video_id


async def is_leased(cache: Cache, video_id: UUID) -> bool:
    """Takes the lease. Returns False if the cache is unavailable or another process holds it."""
    try:
        return isinstance(await cache.videos.get_or_lease(video_id), Lease)
    except CacheUnavailableError:  # the epoch is not known yet
        return False


@pytest.fixture
async def get(door: Door) -> AsyncIterator[Callable[[str], Any]]:
    """Starts GetVideo through the fast door."""
    async with aio.insecure_channel(f"{door.host}:{door.port}") as channel:
        call: Any = VideoServiceStub(channel).GetVideo
        await channel.channel_ready()
        yield lambda video_id: call(GetVideoRequest(id=video_id), timeout=PATIENCE)


async def test_cancelled_call_ends_alone(stack: Stack, door: Door, get: Callable[[str], Any]) -> None:
    before = await cancelled(door), await flights_given_up(door)
    async with slow_video(stack) as video_id:
        leaving, staying = get(video_id), get(video_id)
        await becomes(2, door, waiting)

        leaving.cancel()
        await becomes(1, door, waiting)

        assert (await staying).title == "slow"
    await becomes(before[0] + 1, door, cancelled)
    assert await flights_given_up(door) == before[1], "another caller still waits for the shared load"
    assert await leaving.code() is grpc.StatusCode.CANCELLED


async def test_load_without_waiting_callers_is_cancelled(
    stack: Stack, door: Door, get: Callable[[str], Any]
) -> None:
    before = await flights_given_up(door)
    async with slow_video(stack) as video_id:
        calls = [get(video_id) for _ in range(3)]
        await becomes(3, door, waiting)

        for call in calls:
            call.cancel()

        await becomes(0, door, waiting)
        assert await flights_given_up(door) == before + 1
        assert (await get(video_id)).title == "slow", "the next caller starts a new load"


async def test_expired_call_ends_alone(stack: Stack, door: Door) -> None:
    async with slow_video(stack) as video_id, aio.insecure_channel(f"{door.host}:{door.port}") as channel:
        call: Any = VideoServiceStub(channel).GetVideo
        hasty = call(GetVideoRequest(id=video_id), timeout=0.2)
        patient = call(GetVideoRequest(id=video_id), timeout=PATIENCE)

        assert await hasty.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert (await patient).title == "slow"
