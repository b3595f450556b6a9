"""The breaker, alone and with a Redis that does not reply."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from gostream_shared.cache.breaker import Breaker
from gostream_shared.cache.entries.redis_cache import RedisVideoCache
from gostream_shared.cache.protocol import CacheUnavailableError
from gostream_shared.cache.redis_connection import RedisConnection


def test_opens_after_failures_and_probes_once_per_cooldown() -> None:
    now = 0.0
    breaker = Breaker(threshold=2, cooldown=1.0, clock=lambda: now)
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert breaker.admit()
    breaker.failed()
    assert not breaker.admit()
    now = 1.5
    assert [breaker.admit() for _ in range(3)] == [True, False, False]
    breaker.succeeded()
    assert breaker.admit()


def refused() -> float:
    """Number of calls refused by the breaker."""
    return REGISTRY.get_sample_value("gostream_redis_errors_total", {"operation": "refused"}) or 0.0


@pytest.mark.stack
@pytest.mark.faults
async def test_hanging_redis_adds_latency_until_breaker_opens(
    redis_server: Any, cache: RedisVideoCache, link: RedisConnection
) -> None:
    link.breaker = Breaker(cooldown=600)  # otherwise a caller on a slow machine becomes the probe
    await cache.get_or_lease(uuid4())
    redis_server.pause()
    try:
        for _ in range(3):
            with pytest.raises(CacheUnavailableError):
                await cache.get_or_lease(uuid4())
        before = refused()
        results = await asyncio.gather(
            *(cache.get_or_lease(uuid4()) for _ in range(200)), return_exceptions=True
        )
        assert all(isinstance(result, CacheUnavailableError) for result in results)
        assert refused() - before == 200, "refused immediately, not after a timeout"
    finally:
        redis_server.resume()
    async with link.guarded("probe", 10, probe=True):
        await link.client.ping()
    await cache.get_or_lease(uuid4())
