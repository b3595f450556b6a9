"""The Redis connection that all commands share: deadlines, a breaker and one error type."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from redis.asyncio import Redis
from redis.exceptions import (
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from gostream_shared.cache.breaker import Breaker
from gostream_shared.cache.driver.client import HARD_TIMEOUT, any_node, redis_client
from gostream_shared.cache.driver.cluster import Cluster
from gostream_shared.cache.driver.servers import OneServer, Servers
from gostream_shared.cache.metrics import REDIS_ERRORS, REFUSED
from gostream_shared.cache.protocol import CacheUnavailableError
from gostream_shared.config import Config
from gostream_shared.observability.tracing import spans
from gostream_shared.redis_target import Topology


def open_servers(
    config: Config, *, connections: int = 32, admits: Callable[[str], bool] = lambda _: True
) -> Servers:
    """Returns the configured servers, each with at most that many connections. See `redis_client`."""
    target = config.redis()
    if target.topology is not Topology.CLUSTER:
        return OneServer(redis_client(config, connections=connections, admits=admits))
    return Cluster(
        target.addresses,
        open_node=lambda node: redis_client(config, node=node, connections=connections, admits=admits),
        ask=partial(any_node, config),
    )


def refusal_of(error: ResponseError) -> str:
    """Returns the class of a Redis error reply. The driver removes or prefixes the error's first word."""
    for kind, name in ((OutOfMemoryError, "OOM"), (ReadOnlyError, "READONLY"), (NoPermissionError, "NOPERM")):
        if isinstance(error, kind):
            return name
    for text, name in (("NOREPLICAS", "NOREPLICAS"), ("MISCONF", "MISCONF"), ("ACL failure", "NOPERM")):
        if text in str(error):
            return name
    return "other"


class RedisConnection:
    """The servers behind a breaker, so that callers do not wait for a dead Redis."""

    def __init__(self, servers: Servers, breaker: Breaker) -> None:
        self.servers = servers
        self.breaker = breaker

    @property
    def client(self) -> Redis:
        """The client of the only server. Raises TypeError for a Redis Cluster."""
        if not isinstance(self.servers, OneServer):
            raise TypeError("a Redis Cluster has a client for each node")
        return self.servers.client

    @asynccontextmanager
    async def guarded(self, operation: str, timeout: float, *, probe: bool = False) -> AsyncIterator[None]:
        """Limit the block to `timeout` seconds. Raises CacheUnavailableError for any failure of Redis.

        An open breaker admits only a `probe`.
        """
        if not (probe or self.breaker.admit()):
            REDIS_ERRORS.labels("refused").inc()
            raise CacheUnavailableError("the circuit breaker of Redis is open")
        try:
            with spans.request(f"redis {operation}", db__system__name="redis", db__operation__name=operation):
                async with asyncio.timeout(timeout):
                    yield
        except ResponseError as error:  # an error reply is an answer, so callers do not wait
            self.breaker.succeeded()
            REDIS_ERRORS.labels(operation).inc()
            REFUSED.labels(refusal_of(error)).inc()
            if isinstance(error, ReadOnlyError):  # demoted: new connections lead to the primary
                await self.servers.forget()
            raise CacheUnavailableError(f"Redis: {error}") from error
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            self.breaker.failed()
            self.servers.doubt()
            REDIS_ERRORS.labels(operation).inc()
            raise CacheUnavailableError(f"Redis: {error or type(error).__name__}") from error
        self.breaker.succeeded()

    async def reconnect(self) -> None:
        """Close every connection, because connections from before a failover may reach the old server."""
        await self.servers.forget()

    async def server(self) -> str:
        """Returns the identity of the servers that execute commands. Raises CacheUnavailableError."""
        async with self.guarded("info", HARD_TIMEOUT, probe=True):
            return await self.servers.identity()
