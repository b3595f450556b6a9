"""Limits how often an owner writes, over all replicas."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from prometheus_client import Gauge

from gostream_shared.cache.breaker import Breaker
from gostream_shared.cache.driver import ConnectionPool, Redis
from gostream_shared.cache.driver.client import SOFT_TIMEOUT
from gostream_shared.cache.protocol import CacheUnavailableError
from gostream_shared.cache.redis_connection import RedisConnection, open_servers
from gostream_shared.config import Config
from gostream_shared.domain.errors import RateLimitedError

DEGRADED = Gauge(
    "gostream_ratelimit_degraded",
    "1 if Redis did not answer the latest check of a rate, so that each process counts alone",
)
#: Prefix of the counters in Redis.
_PREFIX = "gostream:rate"
#: Connections to Redis; further checks wait for one, at most SOFT_TIMEOUT.
_CONNECTIONS = 8
#: Bounds in seconds of the delay in the error.
_SHORTEST, _LONGEST = 1.0, 3600.0


class WriteRates:
    """Counts the writes of each owner in sliding windows in Redis.

    While Redis does not answer, each process counts alone, with the same limits. A call is never refused
    because of Redis, and waits for it at most SOFT_TIMEOUT for each limit. A limit of 0 is none.
    """

    def __init__(self, redis: RedisConnection, *, writes: int, creates: int) -> None:
        """`writes`: calls a second; `creates`: those of CreateVideo an hour."""
        self._redis = redis
        self._shared: dict[ConnectionPool, SlidingWindowCounterRateLimiter] = {}  # by server
        self._alone = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._writes = RateLimitItemPerSecond(writes, namespace="writes") if writes else None
        self._creates = RateLimitItemPerHour(creates, namespace="creates") if creates else None

    @classmethod
    @asynccontextmanager
    async def open(cls, config: Config, *, writes: int, creates: int) -> AsyncIterator["WriteRates"]:
        """Counts over separate connections. Redis may be down."""
        redis = RedisConnection(open_servers(config, connections=_CONNECTIONS), Breaker())
        async with redis.servers:
            yield cls(redis, writes=writes, creates=creates)

    async def require(self, owner: str, *, is_create: bool) -> None:
        """Count a write. Raises RateLimitedError if the owner has made too many; that one does not count."""
        if self._writes:
            await self._require(self._writes, owner, "writes")
        if is_create and self._creates:
            await self._require(self._creates, owner, "calls of CreateVideo")

    async def _require(self, item: RateLimitItem, owner: str, calls: str) -> None:
        try:
            async with self._redis.guarded("rate", SOFT_TIMEOUT):
                key = f"{{{item.key_for(owner)}}}"  # the library's hash tag: both windows are on one server
                delay = await self._redis.servers.at(
                    key, lambda client: _delay(self._limiter(client), item, owner)
                )
            DEGRADED.set(0)
        except CacheUnavailableError:
            DEGRADED.set(1)
            delay = await _delay(self._alone, item, owner)
        if delay is not None:
            raise RateLimitedError(calls, retry_after=delay)

    def _limiter(self, client: Redis) -> SlidingWindowCounterRateLimiter:
        pool = client.connection_pool
        if pool not in self._shared:
            storage = RedisStorage(
                "async+redis://",
                implementation="redispy",
                key_prefix=_PREFIX,
                connection_pool=pool,  # type: ignore[arg-type]  # typed too narrowly
            )
            self._shared[pool] = SlidingWindowCounterRateLimiter(storage)
        return self._shared[pool]


async def _delay(limiter: SlidingWindowCounterRateLimiter, item: RateLimitItem, owner: str) -> float | None:
    """Count a call. Returns None, or the seconds until the next one is possible if it exceeds the limit."""
    if await limiter.hit(item, owner):
        return None
    window = await limiter.get_window_stats(item, owner)
    return min(max(window.reset_time - time.time(), _SHORTEST), _LONGEST)
