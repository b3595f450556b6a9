"""Comparable libraries, used as documented."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiocache
import aiocache.serializers
import cashews

from benchmarks.coherence.cache_aside import TTL, CacheAside
from benchmarks.coherence.systems import System
from gostream_shared.config import Config
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.repositories import VideoRepository


class Cashews:
    """Implements cache_aside.Store: entries in the process, invalidated by Redis (CLIENT TRACKING)."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    async def get(self, key: str) -> Any:
        return await self._cache.get(key)

    async def put(self, key: str, value: dict[str, Any]) -> None:
        await self._cache.set(key, value, expire=TTL)

    async def drop(self, key: str) -> None:
        await self._cache.delete(key)


class Aiocache:
    """Implements cache_aside.Store over Redis alone: aiocache has no coherent in-process layer."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    async def get(self, key: str) -> Any:
        return await self._cache.get(key)

    async def put(self, key: str, value: dict[str, Any]) -> None:
        await self._cache.set(key, value, ttl=TTL)

    async def drop(self, key: str) -> None:
        await self._cache.delete(key)


@asynccontextmanager
async def open_cashews(
    config: Config, database: PostgresDatabase, videos: VideoRepository
) -> AsyncIterator[System]:
    cache = cashews.Cache()
    # RESP2: over RESP3, the default of redis-py, cashews 7.6 receives no invalidations.
    cache.setup(cashews_url(config), client_side=True, protocol=2)
    await cache.init()
    try:
        yield CacheAside(Cashews(cache), videos)
    finally:
        await cache.close()


def cashews_url(config: Config) -> str:
    """Redis URL for cashews."""
    secret = config.redis_password.get_secret_value()
    return f"redis://:{secret}@{config.redis_host}:{config.redis_port}/{config.redis_db}"


@asynccontextmanager
async def open_aiocache(
    config: Config, database: PostgresDatabase, videos: VideoRepository
) -> AsyncIterator[System]:
    async with aiocache.Cache(
        aiocache.Cache.REDIS,
        endpoint=config.redis_host,
        port=config.redis_port,
        db=config.redis_db,
        password=config.redis_password.get_secret_value(),
        namespace="aiocache",
        serializer=aiocache.serializers.JsonSerializer(),
    ) as cache:
        yield CacheAside(Aiocache(cache), videos)
