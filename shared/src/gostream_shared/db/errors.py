"""Driver errors → domain errors, in one place."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from gostream_shared.domain.errors import BackendRefusedError, BackendUnavailableError
from gostream_shared.observability.causes import note_cause, server_of

BACKEND = "database"

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
    asyncpg.InvalidCatalogNameError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,  # of a connection that was lost in the middle of an operation
    # Of a schema that is not migrated yet, or was dropped: the service waits for it.
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InsufficientPrivilegeError,
)
# What no waiting mends, if it is met at the start.
_REFUSALS = (
    ssl.SSLError,
    asyncpg.ClientConfigurationError,
    asyncpg.InvalidAuthorizationSpecificationError,  # wrong password, no such role, pg_hba.conf, TLS demanded
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedObjectError,  # an option of the URL
    asyncpg.InvalidParameterValueError,
)


@asynccontextmanager
async def database_errors(timeout: float) -> AsyncIterator[None]:
    """Give the block `timeout` seconds. Raises BackendUnavailableError if the database does not answer.

    The cause is logged.
    """
    task = asyncio.current_task()
    cancellations = task.cancelling() if task else 0
    try:
        async with asyncio.timeout(timeout):
            yield
    except _TRANSIENT as error:
        if task and task.cancelling() > cancellations:
            # A ROLLBACK that fails in its turn would hide the cancellation that asked for it.
            raise asyncio.CancelledError from error
        cause = cause_of(error, timeout)
        note_cause(BACKEND, kind_of(error), cause)
        raise BackendUnavailableError(BACKEND, cause) from error


@asynccontextmanager
async def connecting_errors(timeout: float) -> AsyncIterator[None]:
    """The same for the first connection, whose failure ends the start and is not logged besides.

    Raises BackendRefusedError for what waiting does not mend.
    """
    try:
        async with asyncio.timeout(timeout):
            yield
    except (*_REFUSALS, *_TRANSIENT) as error:
        refused = isinstance(error, _REFUSALS) or "rejected SSL upgrade" in str(error)
        kind = BackendRefusedError if refused else BackendUnavailableError
        raise kind(BACKEND, f"{server_of(BACKEND)}: {cause_of(error, timeout)}") from error


def kind_of(error: BaseException) -> str:
    """The SQLSTATE, or the class of the driver's error."""
    return getattr(error, "sqlstate", None) or type(error).__name__


def cause_of(error: BaseException, timeout: float) -> str:
    """One line that names the driver's class and the SQLSTATE."""
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {timeout:.0f} s"
    state = getattr(error, "sqlstate", None)
    name = type(error).__name__ + (f" (SQLSTATE {state})" if state else "")
    return f"{name}: {error}".splitlines()[0] if str(error) else name
