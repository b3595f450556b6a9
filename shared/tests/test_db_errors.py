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


async def test_a_cancellation_is_not_lost_to_what_the_driver_does_about_it() -> None:
    task = asyncio.ensure_future(cut_off())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_callers_deadline_is_not_lost_either() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await cut_off()


async def test_what_the_driver_raises_of_its_own_accord_is_an_outage() -> None:
    with pytest.raises(BackendUnavailableError):
        async with database_errors(30):
            raise ConnectionResetError


async def test_a_database_that_does_not_answer_in_time_is_an_outage() -> None:
    with pytest.raises(BackendUnavailableError):
        async with database_errors(0.01):
            await asyncio.Event().wait()
