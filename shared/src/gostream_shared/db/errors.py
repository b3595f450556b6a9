"""Driver errors → domain errors, in one place."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from gostream_shared.domain.errors import BackendUnavailableError

# What says "not now" rather than "never": connection loss, shutdown, too many clients, deadlocks, failover.
_TRANSIENT = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,  # of a connection that was lost in the middle of an operation
)


@asynccontextmanager
async def database_errors(timeout: float) -> AsyncIterator[None]:
    """Give the block `timeout` seconds; raise BackendUnavailableError when the database does not answer."""
    task = asyncio.current_task()
    cancellations = task.cancelling() if task else 0
    try:
        async with asyncio.timeout(timeout):
            yield
    except _TRANSIENT as error:
        if task and task.cancelling() > cancellations:
            # A ROLLBACK that fails in its turn would hide the cancellation that asked for it.
            raise asyncio.CancelledError from error
        raise BackendUnavailableError("database") from error
