"""The textbook cache: JSON in Redis, a dictionary in the process, DEL and PUBLISH after a write."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from benchmarks.coherence.cache_aside import TTL, CacheAside
from benchmarks.coherence.systems import System
from gostream_shared.cache.driver.client import redis_client
from gostream_shared.config import Config
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.repositories import VideoRepository

CHANNEL = "naive"


class TwoLayers:
    """Implements cache_aside.Store."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._local: dict[str, dict[str, Any]] = {}

    async def get(self, key: str) -> dict[str, Any] | None:
        if (value := self._local.get(key)) is not None:
            return value
        data = await self._redis.get(f"naive:{key}")
        if data is not None:
            self._local[key] = json.loads(data)
        return self._local.get(key)

    async def put(self, key: str, value: dict[str, Any]) -> None:
        await self._redis.set(f"naive:{key}", json.dumps(value), ex=TTL)
        self._local[key] = value

    async def drop(self, key: str) -> None:
        await self._redis.delete(f"naive:{key}")
        await self._redis.publish(CHANNEL, key)

    async def listen(self, subscribed: asyncio.Event) -> None:
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(CHANNEL)
                    async for message in pubsub.listen():
                        subscribed.set()
                        if message["type"] == "message":
                            self._local.pop(message["data"].decode(), None)
            except (RedisError, OSError):
                await asyncio.sleep(0.05)


@asynccontextmanager
async def open_naive(
    config: Config, database: PostgresDatabase, videos: VideoRepository
) -> AsyncIterator[System]:
    async with redis_client(config) as redis:
        store, subscribed = TwoLayers(redis), asyncio.Event()
        listening = asyncio.create_task(store.listen(subscribed))
        try:
            async with asyncio.timeout(10):
                await subscribed.wait()
            yield CacheAside(store, videos)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
