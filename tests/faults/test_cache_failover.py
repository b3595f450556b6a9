"""The cache over real servers and a faulty network: half-open connections, a promoted replica."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from gostream_api.principal import ANONYMOUS
from gostream_api.reads.cached_video_service import CachedVideoService
from gostream_api.reads.ports import Layer
from gostream_shared.cache.compose import Cache, open_cache
from gostream_shared.cache.entries.redis_cache import video_key
from gostream_shared.config import Config, load
from gostream_shared.db.database import PostgresDatabase
from tests.support.cache_fakes import FakeOutbox
from tests.support.tcp_proxy import Proxy
from tests.support.videos import FakeVideos, make_video
from tests.support.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.faults]


@asynccontextmanager
async def replica(
    proxy: Proxy, password: str, database_url: str, database: FakeVideos
) -> AsyncIterator[tuple[Cache, CachedVideoService]]:
    variables = {
        "DATABASE_URL": database_url,
        "REDIS_HOST": proxy.host,
        "REDIS_PORT": str(proxy.port),
        "REDIS_PASSWORD": password,
    }
    config = load(Config, variables)
    async with (
        PostgresDatabase.open(database_url) as postgres,
        open_cache(config, outbox=FakeOutbox(), epochs=postgres.epochs, subscribe=True) as cache,
        CachedVideoService.open(
            cache, database, encode=lambda video: video.title.encode(), owner_of=lambda _: ""
        ) as videos,
    ):
        await eventually(lambda: videos.is_live)
        yield cache, videos


async def test_half_open_bus_is_detected_without_stale_reads(
    redis_settings: Any, redis_server: Any, database_url: str
) -> None:  # R10
    database = FakeVideos()
    video = database.put(make_video(title="old"))
    async with (
        Proxy.to(redis_settings.host, redis_settings.port) as proxy,
        Proxy.to(redis_settings.host, redis_settings.port) as healthy,
        replica(proxy, redis_settings.password, database_url, database) as (_, deaf),
        replica(healthy, redis_settings.password, database_url, database) as (writer, _),
    ):
        await eventually(lambda: _layer_is(deaf, video.id, Layer.L1))
        proxy.blackhole(True)
        database.put(replace(video, version=2, title="new"))
        await writer.announcer.announce(video.id, 2)
        await asyncio.sleep(3.2)
        assert not deaf.is_live
        assert (await deaf.get_video(ANONYMOUS, video.id)).reply.payload == b"new"
        proxy.blackhole(False)
        proxy.cut()
        await eventually(lambda: deaf.is_live)
        assert (await deaf.get_video(ANONYMOUS, video.id)).reply.payload == b"new"


async def _layer_is(videos: CachedVideoService, video_id: Any, layer: Layer) -> bool:
    return (await videos.get_video(ANONYMOUS, video_id)).layer is layer


async def test_promoted_replica_missing_an_invalidation_serves_fresh(
    make_redis_server: Callable[..., Any], database_url: str
) -> None:  # R12
    primary = await asyncio.to_thread(make_redis_server)
    standby = await asyncio.to_thread(make_redis_server, replicaof=f"{primary.host} {primary.port}")
    database = FakeVideos()
    video = database.put(make_video(title="old"))
    async with (
        Proxy.to(primary.host, primary.port) as proxy,
        replica(proxy, primary.password, database_url, database) as (cache, videos),
    ):
        await eventually(lambda: _layer_is(videos, video.id, Layer.L1))
        await eventually(lambda: b"old" in standby.execute("HGET", video_key(video.id), "data"))
        standby.execute("REPLICAOF", "NO", "ONE")  # replication stops here, with the old entry
        database.put(replace(video, version=2, title="new"))
        await cache.announcer.announce(video.id, 2)
        proxy.target = (standby.host, standby.port)
        proxy.cut()
        for _ in range(50):
            assert (await videos.get_video(ANONYMOUS, video.id)).reply.payload == b"new"
            await asyncio.sleep(0.02)
        await eventually(lambda: videos.is_live)
        await eventually(lambda: _layer_is(videos, video.id, Layer.L1))
