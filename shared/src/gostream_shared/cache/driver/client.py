"""Clients of one Redis server: connections, deadlines and the check of a server's identity."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError

from gostream_shared.cache.driver.sentinels import (
    Address,
    FoundConnection,
    SentinelConnection,
    Sentinels,
    SentinelTlsConnection,
)
from gostream_shared.cache.driver.trust import TlsConnection, Trust
from gostream_shared.config import Config
from gostream_shared.redis_target import Topology

#: Seconds a reader waits for Redis before it goes to the database.
SOFT_TIMEOUT = 0.5
#: Seconds a writer waits, and the longest time that a command may hold a connection.
HARD_TIMEOUT = 1.0
#: Pinned: the format of pushed messages depends on it, and drivers have changed their default before.
PROTOCOL = 2
SECTIONS = ("server", "replication")


def redis_client(
    config: Config,
    *,
    node: Address | None = None,
    protocol: int = PROTOCOL,
    connections: int = 32,
    admits: Callable[[str], bool] = lambda _: True,
) -> Redis:
    """Returns a client without automatic retries: the protocol decides which commands may be repeated.

    It leads to the configured server, to the primary that the configured sentinels name, or to `node`. Only
    the caller sets a deadline for commands (`RedisConnection.guarded`). A new connection is used only if
    `admits` accepts its server, because pools reconnect silently.
    """
    target = config.redis()
    place: dict[str, Any] = dict(zip(("host", "port"), node or target.addresses[0], strict=True))
    place |= _tls(config)
    if target.topology is Topology.SENTINEL:
        sentinels = Sentinels(target.addresses, target.service, lambda address: _sentinel(config, address))
        kind = SentinelTlsConnection if target.tls else SentinelConnection
        place |= {"connection_class": kind, "sentinels": sentinels}

    async def on_connect(connection: Connection) -> None:
        async with asyncio.timeout(HARD_TIMEOUT):
            await connection.on_connect()
            await connection.send_command("INFO", *SECTIONS)
            info = _info(await connection.read_response())
        if isinstance(connection, FoundConnection) and info["role"] != "master":
            connection.doubt()
        server = server_identity(info)
        if not admits(server):
            raise ConnectionError(f"connected to another server: {server}")

    client = _client(
        db=target.database,
        username=target.username or None,
        password=target.password or None,
        protocol=protocol,
        max_connections=connections,
        redis_connect_func=on_connect,
        **place,
    )
    # INFO runs twice a second, and the driver's parser guesses the types of all values.
    client.set_response_callback("INFO", _info)
    return client


def any_node(config: Config, node: Address) -> Redis:
    """Returns a client for questions about the cluster, which replicas answer too."""
    target = config.redis()
    login = {"username": target.username or None, "password": target.password or None}
    return _client(host=node[0], port=node[1], protocol=PROTOCOL, max_connections=1, **login, **_tls(config))


def _sentinel(config: Config, address: Address) -> Redis:
    return _client(
        host=address[0],
        port=address[1],
        username=config.redis_sentinel_username.get_secret_value() or None,
        password=config.redis_sentinel_password.get_secret_value() or None,
        protocol=PROTOCOL,
        max_connections=1,
        **_tls(config),
    )


def _client(**options: Any) -> Redis:
    return Redis.from_pool(
        BlockingConnectionPool(
            timeout=SOFT_TIMEOUT,
            # The driver's timeout is an asyncio.wait_for around each write. It creates a task per command,
            # and before Python 3.12 it loses a cancellation that arrives at the end of the write.
            socket_timeout=None,
            socket_connect_timeout=HARD_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            **options,
        )
    )


def _tls(config: Config) -> dict[str, Any]:
    if not config.redis().tls:
        return {}
    return {"connection_class": TlsConnection, "trust": Trust(config.redis_ca_file)}


def _info(response: Any, **_: Any) -> dict[str, str]:
    """Parse the reply of INFO."""
    return dict(line.split(":", 1) for line in response.decode().splitlines() if ":" in line)


def server_identity(info: Mapping[str, str]) -> str:
    """Returns the identity of a server. Another process or another replication history is another server.

    Raises ConnectionError for a replica.
    """
    if info["role"] != "master":
        raise ConnectionError("connected to a replica")
    return f"{info['run_id']}:{info['master_replid']}"
