"""Translates driver errors into domain errors."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from gostream_shared.db.connecting.hosts import StandbyError
from gostream_shared.domain.errors import BackendRefusedError, BackendUnavailableError
from gostream_shared.observability.causes import note_cause, server_of

BACKEND = "database"

# Errors that a retry can resolve: connection loss, shutdown, too many clients, deadlocks, failover, a pooler.
_TRANSIENT = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,  # also StandbyError
    asyncpg.InternalClientError,  # the connection was lost during an operation
    asyncpg.PostgresConnectionError,  # class 08; also what PgBouncer itself answers
    asyncpg.InvalidTransactionStateError,  # class 25: a standby, a transaction that took too long
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.TransactionRollbackError,  # class 40
    asyncpg.InsufficientResourcesError,  # class 53: connections, memory, disk
    asyncpg.ObjectNotInPrerequisiteStateError,  # class 55: locked, or a standby
    asyncpg.OperatorInterventionError,  # class 57: shutdown, crash of another backend, cancelled, starting
    asyncpg.PostgresSystemError,  # class 58: the disk of the server
    # The statement belongs to another server connection: a pooler without DATABASE_POOLED, or a new schema.
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
    asyncpg.InvalidCachedStatementError,
    # The schema is not migrated yet, or was dropped: the service waits for it.
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InsufficientPrivilegeError,
)
# Errors at the start that a retry cannot resolve.
_REFUSALS = (
    ssl.SSLError,
    asyncpg.ClientConfigurationError,
    asyncpg.InvalidAuthorizationSpecificationError,  # wrong password, unknown role, pg_hba.conf, TLS required
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedObjectError,  # an option of the URL
    asyncpg.InvalidParameterValueError,
    StandbyError,
)
# What PgBouncer answers to a client that expects PostgreSQL.
_POOLER_REFUSES = "unsupported startup parameter"


@asynccontextmanager
async def database_errors(timeout: float) -> AsyncIterator[None]:
    """Limit the block to `timeout` seconds. Raises BackendUnavailableError for a transient failure.

    Logs the cause.
    """
    task = asyncio.current_task()
    cancellations = task.cancelling() if task else 0
    try:
        async with asyncio.timeout(timeout):
            yield
    except _TRANSIENT as error:
        if task and task.cancelling() > cancellations:
            # A cancellation caused this ROLLBACK; its failure must not hide the cancellation.
            raise asyncio.CancelledError from error
        cause = cause_of(error, timeout)
        note_cause(BACKEND, kind_of(error), cause)
        raise BackendUnavailableError(BACKEND, cause) from error


@asynccontextmanager
async def connecting_errors(timeout: float) -> AsyncIterator[None]:
    """Like `database_errors`, for the first connection. Does not log: the failed start prints the cause.

    Raises BackendRefusedError if a retry cannot succeed.
    """
    try:
        async with asyncio.timeout(timeout):
            yield
    except (*_REFUSALS, *_TRANSIENT) as error:
        is_pooler = _POOLER_REFUSES in str(error)
        refused = isinstance(error, _REFUSALS) or "rejected SSL upgrade" in str(error) or is_pooler
        kind = BackendRefusedError if refused else BackendUnavailableError
        hint = "; if this is PgBouncer, set DATABASE_POOLED=yes" if is_pooler else ""
        raise kind(BACKEND, f"{server_of(BACKEND)}: {cause_of(error, timeout)}{hint}") from error


def kind_of(error: BaseException) -> str:
    """Returns the SQLSTATE, or the class of the driver's error."""
    return getattr(error, "sqlstate", None) or type(error).__name__


def cause_of(error: BaseException, timeout: float) -> str:
    """Returns one line with the driver's error class and the SQLSTATE."""
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {timeout:.0f} s"
    state = getattr(error, "sqlstate", None)
    name = type(error).__name__ + (f" (SQLSTATE {state})" if state else "")
    return f"{name}: {error}".splitlines()[0] if str(error) else name
