"""Driver errors → domain errors."""

import asyncio

import asyncpg
import pytest

from gostream_shared.db.errors import database_errors
from gostream_shared.domain.errors import BackendUnavailableError


async def cut_off() -> None:
    """A statement whose ROLLBACK fails when it is cancelled."""
    async with database_errors(30):
        try:
            await asyncio.Event().wait()
        finally:
            raise TimeoutError


async def test_cancellation_survives_errors_of_the_driver() -> None:
    task = asyncio.ensure_future(cut_off())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_deadline_survives_errors_of_the_driver() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await cut_off()


async def test_driver_error_without_cancellation_is_an_outage() -> None:
    with pytest.raises(BackendUnavailableError):
        async with database_errors(30):
            raise ConnectionResetError


async def test_database_timeout_is_an_outage() -> None:
    with pytest.raises(BackendUnavailableError):
        async with database_errors(0.01):
            await asyncio.Event().wait()


#: SQLSTATE classes that say nothing about the statement: connection, transaction state, rollback, resources,
#: object state, operator, system. And statements that another server connection has.
_OUTAGES = ("08", "25", "40", "53", "55", "57", "58", "26000", "42P05")
_CLASSES = [
    found
    for found in vars(asyncpg.exceptions).values()
    if isinstance(found, type)
    and issubclass(found, asyncpg.PostgresError)
    and str(getattr(found, "sqlstate", None)).startswith(_OUTAGES)
]


@pytest.mark.parametrize("kind", _CLASSES, ids=lambda kind: f"{kind.sqlstate}-{kind.__name__}")
async def test_outages_of_a_server_are_outages(kind: type[asyncpg.PostgresError]) -> None:
    assert len(_CLASSES) > 40
    with pytest.raises(BackendUnavailableError):
        async with database_errors(30):
            raise kind("said by the server")


@pytest.mark.parametrize("kind", [asyncpg.UniqueViolationError, asyncpg.CheckViolationError])
async def test_errors_of_a_statement_are_no_outages(kind: type[asyncpg.PostgresError]) -> None:
    with pytest.raises(kind):
        async with database_errors(30):
            raise kind("said by the server")
