"""The cache on a real Redis."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gostream_shared.cache.breaker import Breaker
from gostream_shared.cache.driver.client import redis_client
from gostream_shared.cache.driver.servers import OneServer
from gostream_shared.cache.entries import redis_cache
from gostream_shared.cache.entries.epoch import EpochState
from gostream_shared.cache.entries.redis_cache import CacheTimes, RedisVideoCache, change_channel
from gostream_shared.cache.redis_connection import RedisConnection
from gostream_shared.config import Config, load


@pytest.fixture
def config(redis_settings: Any) -> Config:
    return config_of(redis_settings)


def config_of(server: Any, database_url: str = "postgresql://unused@127.0.0.1:1/none") -> Config:
    return load(
        Config,
        {
            "DATABASE_URL": database_url,
            "REDIS_HOST": server.host,
            "REDIS_PORT": str(server.port),
            "REDIS_PASSWORD": server.password,
        },
    )


@pytest.fixture
async def link(config: Config) -> AsyncIterator[RedisConnection]:
    link = RedisConnection(OneServer(redis_client(config)), Breaker())
    async with link.client:
        yield link


@pytest.fixture
def cache(link: RedisConnection) -> RedisVideoCache:
    """A cache whose leases outlast any test. Tests about expiry set other times."""
    times = CacheTimes(lease=60)
    return RedisVideoCache(link, channel=change_channel(0), epoch_state=EpochState(1), times=times)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long timeouts for tests of results: half a second is too short on a busy machine."""
    monkeypatch.setattr(redis_cache, "SOFT_TIMEOUT", 30.0)
    monkeypatch.setattr(redis_cache, "HARD_TIMEOUT", 30.0)
