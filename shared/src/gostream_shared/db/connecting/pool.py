"""The pool of connections, to PostgreSQL or to PgBouncer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from gostream_shared.db.connecting.address import DatabaseAddress
from gostream_shared.db.connecting.hosts import PrimaryHosts
from gostream_shared.observability.tracing import spans

#: Seconds that one statement may take; a caller's own deadline cancels it earlier.
STATEMENT_TIMEOUT = 5.0
#: Seconds that a transaction may take, an object store's PUT under the row lock included.
TRANSACTION_TIMEOUT = 30.0
# A frozen process must not hold a row lock until it resumes.
_IDLE_LIMIT = "idle_in_transaction_session_timeout"
# Parameters that PgBouncer gives to each server connection that it assigns. It refuses others.
_TRACKED = {"application_name": "gostream", "timezone": "UTC"}


class _PooledConnection(asyncpg.Connection):
    """A connection to PgBouncer. A setting of a session would stay with a server connection of others."""

    is_pooled = True


async def open_pool(address: DatabaseAddress, *, min_size: int, max_size: int) -> asyncpg.Pool:
    """Open a pool of connections to the primary. Raises as PrimaryHosts.connect."""
    hosts = PrimaryHosts(address.url)

    async def connect(_: str, **options: Any) -> asyncpg.Connection:
        return await hosts.connect(**options)

    options: dict[str, Any] = {"server_settings": _TRACKED | {_IDLE_LIMIT: _seconds()}}
    if address.is_pooled:
        options = {
            "server_settings": _TRACKED,
            "connection_class": _PooledConnection,
            "statement_cache_size": 0,
            "reset": _keep,
        }
    if (log_query := spans.query_logger()) is not None:

        async def follow(connection: asyncpg.Connection) -> None:
            connection.add_query_logger(log_query)

        options["init"] = follow
    options |= {"connect": connect, "min_size": min_size, "max_size": max_size}
    return await asyncpg.create_pool(address.url, command_timeout=STATEMENT_TIMEOUT, **options)


def _seconds() -> str:
    return f"{TRANSACTION_TIMEOUT:.0f}s"


async def _keep(_: asyncpg.Connection) -> None:
    """Instead of RESET ALL, which would change a server connection of another process."""


@asynccontextmanager
async def transaction(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
    """A transaction on a connection of the pool: commits at the end of the block, rolls back on an error."""
    async with pool.acquire() as connection, connection.transaction():
        if getattr(connection, "is_pooled", False):
            await connection.execute(f"SET LOCAL {_IDLE_LIMIT} = '{_seconds()}'")
        yield connection
