"""A caller that leaves the read door early does not affect other callers."""

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
from gostream_devstack.servers.api import Api
from gostream_shared.cache.compose import Cache, open_cache
from gostream_shared.cache.protocol import CacheUnavailableError, Lease
from gostream_shared.config import Config, load
from gostream_shared.db.database import PostgresDatabase

pytestmark = pytest.mark.stack

PATIENCE = 300.0


async def counted(api: Api, name: str, **labels: str) -> float:
    """Reads a metric of the API."""
    async with aiohttp.ClientSession() as session, session.get(api.metrics_url) as answer:
        text = await answer.text()
    samples = (each for family in text_string_to_metric_families(text) for each in family.samples)
    return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())


async def waiting(api: Api) -> float:
    return await counted(api, "gostream_rpc_in_flight", method="/gostream.v1.VideoService/GetVideo")


async def cancelled(api: Api) -> float:
    return await counted(api, "gostream_rpc_handled_total", code="CANCELLED")


async def flights_given_up(api: Api) -> float:
    return await counted(api, "gostream_flight_total", role="cancelled")


async def becomes(expected: float, api: Api, metric: Callable[[Api], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while await metric(api) != expected:
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
async def get(api: Api) -> AsyncIterator[Callable[[str], Any]]:
    """Starts GetVideo through the read door."""
    async with aio.insecure_channel(api.read_address) as channel:
        call: Any = VideoServiceStub(channel).GetVideo
        await channel.channel_ready()
        yield lambda video_id: call(GetVideoRequest(id=video_id), timeout=PATIENCE)


async def test_cancelled_call_ends_alone(stack: Stack, api: Api, get: Callable[[str], Any]) -> None:
    before = await cancelled(api), await flights_given_up(api)
    async with slow_video(stack) as video_id:
        leaving, staying = get(video_id), get(video_id)
        await becomes(2, api, waiting)

        leaving.cancel()
        await becomes(1, api, waiting)

        assert (await staying).title == "slow"
    await becomes(before[0] + 1, api, cancelled)
    assert await flights_given_up(api) == before[1], "another caller still waits for the shared load"
    assert await leaving.code() is grpc.StatusCode.CANCELLED


async def test_load_without_waiting_callers_is_cancelled(
    stack: Stack, api: Api, get: Callable[[str], Any]
) -> None:
    before = await flights_given_up(api)
    async with slow_video(stack) as video_id:
        calls = [get(video_id) for _ in range(3)]
        await becomes(3, api, waiting)

        for call in calls:
            call.cancel()

        await becomes(0, api, waiting)
        assert await flights_given_up(api) == before + 1
        assert (await get(video_id)).title == "slow", "the next caller starts a new load"


async def test_expired_call_ends_alone(stack: Stack, api: Api) -> None:
    async with slow_video(stack) as video_id, aio.insecure_channel(api.read_address) as channel:
        call: Any = VideoServiceStub(channel).GetVideo
        hasty = call(GetVideoRequest(id=video_id), timeout=0.2)
        patient = call(GetVideoRequest(id=video_id), timeout=PATIENCE)

        assert await hasty.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert (await patient).title == "slow"
