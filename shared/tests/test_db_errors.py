"""Driver errors → domain errors."""

import asyncio

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
