"""Replicas stop, or are killed, under a load of reads: no call fails, through Envoy or at the read doors."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import psutil
import pytest

from gostream.v1.video_service_pb2 import BatchGetVideosRequest, CreateVideoRequest, GetVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_devstack.instance.stack import Stack
from gostream_devstack.servers.api import Api
from gostream_devstack.servers.envoy import Envoy
from tests.support.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.faults]
PATIENCE = 60.0
CHANNELS, CALLERS_EACH, ENOUGH = 4, 4, 200
#: The read door has no health check, so its clients retry.
RETRIES = {
    "name": [{"service": "gostream.v1.VideoService"}],
    "retryPolicy": {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    },
}
AT_READ_DOORS = {"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": [RETRIES]}
BY_ENVOY: dict[str, Any] = {}  # Envoy retries


@dataclass
class Load:
    """Callers that read one after the other until the end."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)
    is_over: bool = False

    async def call(self, stub: Any, video_id: str) -> None:
        requests = [
            (stub.GetVideo, GetVideoRequest(id=video_id)),
            (stub.BatchGetVideos, BatchGetVideosRequest(ids=[video_id])),
        ]
        while not self.is_over:
            for method, request in requests:
                try:
                    await method(request, timeout=PATIENCE)
                    self.answered += 1
                except grpc.aio.AioRpcError as error:
                    self.failures.append(f"{error.code()}: {error.details()}")

    async def goes_on(self) -> None:
        """Waits for further answers."""
        until = self.answered + ENOUGH
        await eventually(lambda: self.answered >= until, timeout=PATIENCE)


@pytest.fixture
def replicas(make_stack: Callable[..., Stack]) -> Stack:
    return make_stack(api_replicas=2, workers=0)


@asynccontextmanager
async def reading(stack: Stack, through: str) -> AsyncIterator[Load]:
    """Reads one video until the end of the block."""
    async with grpc.aio.insecure_channel(stack.apis[0].address) as channel:
        create: Any = VideoServiceStub(channel).CreateVideo
        video_id = (await create(CreateVideoRequest(title="x", size_bytes=4), timeout=PATIENCE)).video.id
    envoy, config = stack.servers["envoy"], BY_ENVOY if through == "envoy" else AT_READ_DOORS
    addresses = (
        [f"{envoy.host}:{envoy.port}"] if through == "envoy" else [api.read_address for api in stack.apis]
    )
    options = [
        ("grpc.service_config", json.dumps(config)),
        ("grpc.enable_retries", int(bool(config))),
        ("grpc.use_local_subchannel_pool", 1),  # no connections shared with other channels
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 500),
    ]
    load = Load()
    channels = [grpc.aio.insecure_channel("ipv4:" + ",".join(addresses), options) for _ in range(CHANNELS)]
    try:
        async with asyncio.TaskGroup() as callers:
            for channel in channels * CALLERS_EACH:
                callers.create_task(load.call(VideoServiceStub(channel), video_id))
            try:
                await load.goes_on()
                yield load
                await load.goes_on()
            finally:
                load.is_over = True
    finally:
        for channel in channels:
            await channel.close()


async def stop(api: Api) -> None:
    await asyncio.to_thread(api.stop)
    assert api.returncode == 0


async def kill(api: Api) -> None:
    await asyncio.to_thread(api.kill)


def connections(api: Api) -> int:
    """Returns the number of connections to the read door."""
    found = psutil.Process(api.pid).net_connections("tcp")
    return sum(each.laddr.port == api.read_port and each.status == psutil.CONN_ESTABLISHED for each in found)


async def come_back(api: Api, stack: Stack, through: str) -> None:
    """Starts the replica, and waits until clients use it again."""
    await asyncio.to_thread(api.start)
    envoy = stack.servers["envoy"]
    assert isinstance(envoy, Envoy)
    await asyncio.to_thread(envoy.wait_for_apis)
    clients = 1 if through == "envoy" else CHANNELS
    await eventually(lambda: connections(api) >= clients, timeout=PATIENCE)


@pytest.mark.parametrize("through", ["envoy", "read door"])
@pytest.mark.parametrize("end", [stop, kill])
async def test_replicas_end_in_turn_without_failed_reads(
    replicas: Stack, through: str, end: Callable[[Api], Awaitable[None]]
) -> None:
    async with reading(replicas, through) as load:
        for api in replicas.apis:
            await end(api)
            await load.goes_on()
            await come_back(api, replicas, through)
            await load.goes_on()

    assert load.failures == []
