"""A replica stops under load: a client that balances by health loses no call."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from gostream.v1.video_service_pb2 import CreateVideoRequest, DeleteVideoRequest, GetVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_devstack.host.ports import HOST, Ports
from gostream_shared.db.database import PostgresDatabase

pytestmark = pytest.mark.faults
#: No retries and no wait-for-ready, so that every lost call is visible.
SERVICE_CONFIG = json.dumps(
    {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": "gostream.v1.VideoService"},
    }
)
#: Without this delay before the stop, about one call per connection is lost.
CHANNELS, CLIENTS_EACH = 6, 4


class Replica:
    """One API process."""

    def __init__(self, environment: dict[str, str], port: int, metrics_port: int, log: Path) -> None:
        self.address = f"{HOST}:{port}"
        self.log = log
        own = {"API_PORT": str(port), "METRICS_PORT": str(metrics_port)}
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gostream_api.app"],
                env={"PATH": os.defpath} | environment | own,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    def is_serving(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return '"serving"' in self.log.read_text()


@pytest.fixture
def replicas(backends: dict[str, str], tmp_path: Path) -> Iterator[list[Replica]]:
    environment = backends | {
        "API_HOST": HOST,
        "SHUTDOWN_DELAY": "1s",
        "SHUTDOWN_GRACE": "20s",
    }
    ports = Ports({})
    with ExitStack() as stack:
        started = []
        for name in ("one", "two"):
            log = tmp_path / f"{name}.log"
            replica = Replica(environment, ports.pick(name), ports.pick(f"{name}-metrics"), log)
            stack.callback(replica.process.wait, 30)
            stack.callback(replica.process.kill)
            started.append(replica)
        yield started


def balanced(replicas: list[Replica]) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(
        "ipv4:" + ",".join(replica.address for replica in replicas),
        options=[
            ("grpc.service_config", SERVICE_CONFIG),
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),  # no connections shared with other channels
        ],
    )


class Load:
    """Clients that call sequentially until `stop()`."""

    def __init__(self, channels: list[grpc.aio.Channel], video_id: str) -> None:
        self.answered = 0
        self.lost: list[grpc.aio.AioRpcError] = []
        self._stubs = [VideoServiceStub(channel) for channel in channels]
        self._video_id = video_id
        self._goes_on = True

    async def run(self) -> None:
        clients = [
            self._client(stub, writes=number == 0) for number in range(CLIENTS_EACH) for stub in self._stubs
        ]
        await asyncio.gather(*clients)

    def stop(self) -> None:
        self._goes_on = False

    async def _client(self, stub: Any, *, writes: bool) -> None:
        while self._goes_on:
            try:
                if writes:
                    await stub.CreateVideo(CreateVideoRequest(title="load", size_bytes=4), timeout=30)
                else:
                    await stub.GetVideo(GetVideoRequest(id=self._video_id), timeout=30)
                self.answered += 1
            except grpc.aio.AioRpcError as error:
                self.lost.append(error)


async def serving(replicas: list[Replica]) -> None:
    async with asyncio.timeout(300):
        while not all(replica.is_serving() for replica in replicas):
            await asyncio.sleep(0.05)


async def answers(load: Load, more: int) -> None:
    """Waits for `more` further answers."""
    target = load.answered + more
    async with asyncio.timeout(300):
        while load.answered < target:
            await asyncio.sleep(0.02)


async def test_rolling_stop_under_load_loses_no_call(replicas: list[Replica]) -> None:
    await serving(replicas)
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(balanced(replicas)) for _ in range(CHANNELS)]
        created = await VideoServiceStub(channels[0]).CreateVideo(
            CreateVideoRequest(title="x", size_bytes=4), timeout=30
        )
        load = Load(channels, created.video.id)
        running = asyncio.create_task(load.run())
        await answers(load, 1000)

        replicas[0].process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(replicas[0].process.wait, 60)
        await answers(load, 1000)
        load.stop()
        await running

    assert [error.details() for error in load.lost] == []
    assert code == 0


async def listens(replica: Replica) -> bool:
    """Whether the replica accepts new connections."""
    try:
        _, writer = await asyncio.open_connection(*replica.address.split(":"))
    except OSError:
        return False
    writer.close()
    return True


async def test_call_in_progress_at_stop_is_answered(replicas: list[Replica], database_url: str) -> None:
    await serving(replicas)
    async with (
        PostgresDatabase.open(database_url) as database,
        grpc.aio.insecure_channel(replicas[0].address) as channel,
        database.pool.acquire() as connection,
    ):
        stub = VideoServiceStub(channel)
        video_id = (await stub.CreateVideo(CreateVideoRequest(title="x", size_bytes=4), timeout=30)).video.id
        lock = connection.transaction()
        await lock.start()
        await connection.execute("SELECT 1 FROM videos FOR UPDATE")
        call = asyncio.ensure_future(stub.DeleteVideo(DeleteVideoRequest(id=video_id), timeout=60))
        async with asyncio.timeout(300):
            while not await database.pool.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.02)

        replicas[0].process.send_signal(signal.SIGTERM)
        # Wait only for the shutdown delay: the blocked statement times out after 5 s.
        async with asyncio.timeout(300):
            while await listens(replicas[0]):
                await asyncio.sleep(0.02)
        await lock.rollback()

        await call
        assert await asyncio.to_thread(replicas[0].process.wait, 60) == 0
