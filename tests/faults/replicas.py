"""API replicas as processes. Each reaches Redis and PostgreSQL through separate proxies."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import grpc
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from gostream_client import AsyncClient, Reply
from gostream_devstack.host.ports import HOST, Ports
from gostream_shared.cache.compose import open_cache
from gostream_shared.cache.entries.redis_cache import change_channel, video_key
from gostream_shared.config import Config, load
from gostream_shared.db.database import PostgresDatabase
from tests.support.tcp_proxy import Proxy
from tests.support.waiting import eventually

#: Deadline in seconds; long, because the machine may be busy.
PATIENCE = 300.0
_NEW = "INSERT INTO videos (id, user_id, title, content_type) VALUES ($1, 'faults', $2, 'video/mp4')"
_CHANGE = "UPDATE videos SET title = $2 WHERE id = $1 RETURNING version"


class Replica:
    """A replica process, a client of it, and its proxies to the backends."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, redis: Proxy, database: Proxy) -> None:
        self.process = process
        self.redis = redis
        self.database = database
        self.client: AsyncClient
        self.metrics_url: str
        self._log = log

    @property
    def is_serving(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        return '"serving"' in self._log.read_text()

    async def get(self, video_id: UUID, *, min_version: int = 0) -> Reply:
        return await self.client.get_video_reply(str(video_id), min_version=min_version)

    async def title(self, video_id: UUID) -> str:
        return (await self.get(video_id)).video.title

    async def answers(self, video_id: UUID, title: str, *, layer: str = "") -> None:
        """Waits until the replica returns this title, and from this layer if given."""

        async def so() -> bool:
            reply = await self.get(video_id)
            return reply.video.title == title and layer in ("", reply.x_cache)

        await eventually(so, timeout=PATIENCE)

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples."""
        async with aiohttp.ClientSession() as session, session.get(self.metrics_url) as answer:
            text = await answer.text()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class Fleet:
    """Replicas over one Redis and one database, which the test reaches directly."""

    def __init__(self, database_url: str, redis: Any, directory: Path) -> None:
        self.database_url = database_url
        self.redis = redis
        self._directory = directory
        self._ports = Ports({})
        self._stack = AsyncExitStack()
        self.database: asyncpg.Pool

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str, redis: Any, directory: Path) -> AsyncIterator["Fleet"]:
        fleet = cls(database_url, redis, directory)
        async with fleet._stack:
            fleet.database = await fleet._stack.enter_async_context(
                asyncpg.create_pool(database_url, min_size=1)
            )
            yield fleet

    async def start(self, count: int, **settings: str) -> list[Replica]:
        """Starts `count` replicas and waits until each serves from L1."""
        replicas = [await self._start(settings) for _ in range(count)]
        async with asyncio.timeout(PATIENCE):
            while not all(replica.is_serving for replica in replicas):
                await asyncio.sleep(0.05)
        probe = await self.new_video("probe")
        await asyncio.gather(*(replica.answers(probe, "probe", layer="L1") for replica in replicas))
        return replicas

    async def _start(self, settings: dict[str, str]) -> Replica:
        url = urlsplit(self.database_url)
        redis = await self._stack.enter_async_context(Proxy.to(self.redis.host, self.redis.port))
        database = await self._stack.enter_async_context(Proxy.to(url.hostname or HOST, url.port or 5432))
        name = uuid4().hex[:6]
        port, metrics_port = self._ports.pick(name), self._ports.pick(f"{name}-metrics")
        environment = {
            "PATH": os.defpath,
            "DATABASE_URL": self.database_url.replace(f":{url.port}/", f":{database.port}/"),
            "REDIS_HOST": redis.host,
            "REDIS_PORT": str(redis.port),
            "REDIS_PASSWORD": self.redis.password,
            "S3_ENDPOINT_URL": f"http://{HOST}:9",  # no test uploads
            "S3_ACCESS_KEY": "none",
            "S3_SECRET_KEY": "none",
            "API_HOST": HOST,
            "API_PORT": str(port),
            "METRICS_HOST": HOST,
            "METRICS_PORT": str(metrics_port),
            "SHUTDOWN_DELAY": "0s",
        }
        log = self._directory / f"api-{name}.log"
        process = _spawn(environment | settings, log)
        self._stack.callback(process.wait, 30)
        self._stack.callback(process.kill)
        replica = Replica(process, log, redis, database)
        channel = grpc.aio.insecure_channel(f"{HOST}:{port}", options=[("grpc.use_local_subchannel_pool", 1)])
        await self._stack.enter_async_context(channel)
        client = AsyncClient(f"{HOST}:{port}", timeout=60, channel=channel)
        replica.client = await self._stack.enter_async_context(client)
        replica.metrics_url = f"http://{HOST}:{metrics_port}/metrics"
        return replica

    async def new_video(self, title: str) -> UUID:
        """Inserts a video with SQL and waits until the outbox has announced it."""
        video_id = uuid4()
        await self.database.execute(_NEW, video_id, title)
        await self.outbox_is_empty()
        return video_id

    async def outbox_is_empty(self) -> None:
        async def so() -> bool:
            return not await self.database.fetchval("SELECT count(*) FROM cache_outbox")

        await eventually(so, timeout=PATIENCE)

    async def change(self, video_id: UUID, title: str) -> int:
        """Changes the title with SQL. Returns the new version."""
        version: int = await self.database.fetchval(_CHANGE, video_id, title)
        return version

    def redis_client(self) -> Redis:
        """A client of the server that bypasses the proxies."""
        return Redis(host=self.redis.host, port=self.redis.port, password=self.redis.password, protocol=2)

    async def publish(self, text: bytes) -> None:
        """Publishes a message on the bus that no replica uses."""
        async with self.redis_client() as client:
            await client.publish(change_channel(0), text)

    async def forget(self, video_id: UUID) -> None:
        """Deletes the video's key in Redis, including its tombstone."""
        async with self.redis_client() as client:
            await client.delete(video_key(video_id))

    async def age(self, video_id: UUID) -> None:
        """Expires the freshness of the entry in Redis, as if most of REDIS_TTL had passed."""
        async with self.redis_client() as client:
            seconds, _ = await client.time()
            await client.hset(video_key(video_id), "fresh_until", str(seconds * 1000 - 1000))

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[Any]:
        """An announcer in the test process."""
        variables = {
            "DATABASE_URL": self.database_url,
            "REDIS_HOST": self.redis.host,
            "REDIS_PORT": str(self.redis.port),
            "REDIS_PASSWORD": self.redis.password,
        }
        async with (
            PostgresDatabase.open(self.database_url) as database,
            open_cache(load(Config, variables), outbox=database.outbox, subscribe=False) as cache,
        ):
            yield cache.announcer


def _spawn(environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "gostream_api.app"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
