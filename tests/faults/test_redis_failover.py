"""A failover of Redis under reads and writes, by sentinels and in a Redis Cluster."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID

import pytest

from gostream_api.principal import ANONYMOUS
from gostream_api.reads.cached_video_service import CachedVideoService
from gostream_api.reads.ports import Layer
from gostream_shared.cache.compose import Cache, open_cache
from gostream_shared.cache.entries.redis_cache import SEQUENCE_KEY, video_key
from gostream_shared.cache.metrics import NAMESPACE_EPOCH
from gostream_shared.config import Config, load
from gostream_shared.db.database import PostgresDatabase
from tests.support.cache_fakes import FakeOutbox
from tests.support.servers.redis_topologies import Nodes, Watched, make_redis_cluster, watched
from tests.support.videos import FakeVideos, make_video
from tests.support.waiting import eventually

__all__ = ["make_redis_cluster", "watched"]
pytestmark = [pytest.mark.stack, pytest.mark.faults]

#: Seconds after the answer of a write in which a read may still return the version before it.
BOUND = 3.0


@dataclass
class Traffic:
    """Reads and writes of a few videos, whose every answer is checked."""

    cache: Cache
    videos: CachedVideoService
    database: FakeVideos
    outbox: FakeOutbox
    ids: list[UUID] = field(default_factory=lambda: [make_video().id for _ in range(12)])
    written: dict[UUID, list[float]] = field(default_factory=dict)  # when each version was answered
    reads: int = 0
    layers: set[Layer] = field(default_factory=set)

    async def write(self, video_id: UUID) -> None:
        times = self.written.setdefault(video_id, [])
        version = len(times) + 1
        self.database.put(replace(make_video(video_id), version=version, title=f"{version}"))
        self.outbox.rows[video_id] = version
        await self.cache.announcer.announce(video_id, version)
        times.append(time.monotonic())

    async def read(self, video_id: UUID) -> Layer:
        """Reads and checks. Raises if the read fails."""
        begun = time.monotonic()
        found = await self.videos.get_video(ANONYMOUS, video_id)
        least = sum(when <= begun - BOUND for when in self.written[video_id])
        assert int(found.reply.payload) >= least, f"stale: {found.reply.payload!r} below {least}"
        self.reads += 1
        self.layers.add(found.layer)
        return found.layer

    async def run(self) -> None:
        """Reads all the time and writes often, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(4):
                tasks.create_task(self._read_on(number))
            tasks.create_task(self._write_on())

    async def _read_on(self, number: int) -> None:
        while True:
            for video_id in self.ids[number::4]:
                await self.read(video_id)
                await asyncio.sleep(0.002)

    async def _write_on(self) -> None:
        while True:
            for video_id in self.ids:
                await self.write(video_id)
                await asyncio.sleep(0.05)

    async def stored(self) -> bool:
        """Whether Redis serves a video that only it can have: another process's write dropped L1."""
        self.videos.reset()
        return Layer.L2 in {await self.read(video_id) for video_id in self.ids}


@asynccontextmanager
async def traffic(environment: Mapping[str, str], database_url: str) -> AsyncIterator[Traffic]:
    config = load(Config, {"DATABASE_URL": database_url, **environment})
    database, outbox = FakeVideos(), FakeOutbox()
    async with (
        PostgresDatabase.open(database_url) as postgres,
        open_cache(config, outbox=outbox, epochs=postgres.epochs, subscribe=True) as cache,
        CachedVideoService.open(
            cache, database, encode=lambda video: video.title.encode(), owner_of=lambda _: ""
        ) as videos,
    ):
        found = Traffic(cache, videos, database, outbox)
        for video_id in found.ids:
            await found.write(video_id)
        await eventually(lambda: videos.is_live)
        await eventually(found.stored)
        yield found


async def survive(scene: Traffic, strike: Callable[[], Awaitable[object]]) -> float:
    """Strikes under traffic. Returns the seconds until Redis serves entries of a later epoch."""
    epoch = NAMESPACE_EPOCH._value.get()
    running = asyncio.create_task(scene.run())
    await asyncio.sleep(0.3)
    struck = time.monotonic()
    await strike()
    try:
        await eventually(lambda: running.done() or NAMESPACE_EPOCH._value.get() > epoch)
        await eventually(lambda: running.done() or scene.stored())
        back = time.monotonic() - struck
        assert not running.done(), running.exception()
        await eventually(lambda: scene.videos.is_live)
        await eventually(lambda: not scene.outbox.rows or running.done())
    finally:
        running.cancel()
        await asyncio.wait([running])
    if not running.cancelled() and (error := running.exception()):
        raise error
    return back


async def test_sentinel_failover_fails_no_read(
    watched: Watched,
    database_url: str,
) -> None:
    async with traffic(watched.environment, database_url) as scene:
        back = await survive(scene, lambda: asyncio.to_thread(watched.servers[0].kill))

        print(f"Redis served again {back:.2f} s after the kill")
        assert watched.primary() is watched.servers[1]
        assert scene.reads > 100


@pytest.mark.parametrize("key", [SEQUENCE_KEY, "a video"])
async def test_cluster_failover_fails_no_read(
    make_redis_cluster: Callable[..., Nodes],
    database_url: str,
    key: str,
) -> None:
    nodes = await asyncio.to_thread(make_redis_cluster, replicas=True)
    bus = nodes.owner(SEQUENCE_KEY)
    async with traffic(nodes.environment, database_url) as scene:
        owners = (nodes.owner(video_key(each)) for each in scene.ids)
        struck = bus if key == SEQUENCE_KEY else next(each for each in owners if each is not bus)

        back = await survive(scene, lambda: asyncio.to_thread(struck.kill))

        print(f"Redis served again {back:.2f} s after the kill")
        await eventually(nodes.is_whole)
        assert scene.reads > 100
