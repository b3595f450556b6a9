"""The Redis connection that all commands share: deadlines, a breaker and one error type."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ConnectionError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from gostream_shared.cache.breaker import Breaker
from gostream_shared.cache.metrics import REDIS_ERRORS, REFUSED
from gostream_shared.cache.protocol import CacheUnavailableError
from gostream_shared.config import Config

#: Seconds a reader waits for Redis before it goes to the database.
SOFT_TIMEOUT = 0.5
#: Seconds a writer waits, and the longest time that a command may hold a connection.
HARD_TIMEOUT = 1.0
#: Pinned: the format of pushed messages depends on it, and drivers have changed their default before.
PROTOCOL = 2
_SECTIONS = ("server", "replication")


def redis_client(
    config: Config,
    *,
    protocol: int = PROTOCOL,
    connections: int = 32,
    admits: Callable[[str], bool] = lambda _: True,
) -> Redis:
    """Returns a client without automatic retries: the protocol decides which commands may be repeated.

    Only the caller sets a deadline for commands (`RedisConnection.guarded`). A new connection is used only if
    `admits` accepts its server, because pools reconnect silently.
    """

    async def on_connect(connection: Connection) -> None:
        async with asyncio.timeout(HARD_TIMEOUT):
            await connection.on_connect()
            await connection.send_command("INFO", *_SECTIONS)
            server = server_identity(_info(await connection.read_response()))
        if not admits(server):
            raise ConnectionError(f"connected to another server: {server}")

    pool = BlockingConnectionPool(
        host=config.redis_host,
        port=config.redis_port,
        db=config.redis_db,
        username=config.redis_username.get_secret_value() or None,
        password=config.redis_password.get_secret_value() or None,
        **_tls(config),
        protocol=protocol,
        max_connections=connections,
        timeout=SOFT_TIMEOUT,
        # The driver's timeout is an asyncio.wait_for around each write. It creates a task per command, and
        # before Python 3.12 it loses a cancellation that arrives at the end of the write.
        socket_timeout=None,
        socket_connect_timeout=HARD_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        redis_connect_func=on_connect,
    )
    client = Redis.from_pool(pool)
    # INFO runs twice a second, and the driver's parser guesses the types of all values.
    client.set_response_callback("INFO", _info)
    return client


def _info(response: Any, **_: Any) -> dict[str, str]:
    """Parse the reply of INFO."""
    return dict(line.split(":", 1) for line in response.decode().splitlines() if ":" in line)


def _tls(config: Config) -> dict[str, Any]:
    if not config.redis_tls:
        return {}
    return {"connection_class": _TlsConnection, "trust": _Trust(config.redis_ca_file)}


class _Trust:
    """The context of all connections, kept until the authority's file changes: building one takes long."""

    def __init__(self, authority: Path | None) -> None:
        self._authority = authority
        self._stamp: object = None
        self._context: ssl.SSLContext | None = None

    def get(self) -> ssl.SSLContext:
        """Raises OSError, which the driver counts as a failed connection."""
        found = self._authority.stat() if self._authority else None
        stamp = found and (found.st_mtime_ns, found.st_size, found.st_ino)
        if self._context is None or stamp != self._stamp:
            self._context = ssl.create_default_context(cafile=self._authority)
            self._stamp = stamp
        return self._context


class _TlsConnection(SSLConnection):
    def __init__(self, *, trust: _Trust, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context = trust  # type: ignore[assignment]  # the driver calls `get` alone


def server_identity(info: Mapping[str, str]) -> str:
    """Returns the identity of a server. Another process or another replication history is another server.

    Raises ConnectionError for a replica.
    """
    if info["role"] != "master":
        raise ConnectionError("connected to a replica")
    return f"{info['run_id']}:{info['master_replid']}"


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
    """A client behind a breaker, so that callers do not wait for a dead Redis."""

    def __init__(self, client: Redis, breaker: Breaker) -> None:
        self.client = client
        self.breaker = breaker

    @asynccontextmanager
    async def guarded(self, operation: str, timeout: float, *, probe: bool = False) -> AsyncIterator[None]:
        """Limit the block to `timeout` seconds. Raises CacheUnavailableError for any failure of Redis.

        An open breaker admits only a `probe`.
        """
        if not (probe or self.breaker.admit()):
            REDIS_ERRORS.labels("refused").inc()
            raise CacheUnavailableError("the circuit breaker of Redis is open")
        try:
            async with asyncio.timeout(timeout):
                yield
        except ResponseError as error:  # an error reply is an answer, so callers do not wait
            self.breaker.succeeded()
            REDIS_ERRORS.labels(operation).inc()
            REFUSED.labels(refusal_of(error)).inc()
            raise CacheUnavailableError(f"Redis: {error}") from error
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            self.breaker.failed()
            REDIS_ERRORS.labels(operation).inc()
            raise CacheUnavailableError(f"Redis: {error or type(error).__name__}") from error
        self.breaker.succeeded()

    async def reconnect(self) -> None:
        """Close every connection, because connections from before a failover may reach the old server."""
        await self.client.connection_pool.disconnect()

    async def server(self) -> str:
        """Returns the identity of the server that executes commands. Raises CacheUnavailableError."""
        async with self.guarded("info", HARD_TIMEOUT, probe=True):
            info = await self.client.info(*_SECTIONS)
            try:
                return server_identity(info)
            except ConnectionError:
                await self.client.connection_pool.disconnect(inuse_connections=False)
                raise
