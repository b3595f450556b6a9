"""Deletes old entries of the trail."""

from datetime import timedelta

import structlog

from gostream_shared.domain.repositories import Database
from gostream_worker.retry import periodically

_log = structlog.stdlib.get_logger("gostream.trail")

#: Seconds between two runs.
_PERIOD = 3600.0
#: Entries per transaction.
_BATCH = 1000


async def keep_short(database: Database, retention: timedelta) -> None:
    """Delete entries that are older than `retention`, every hour. Any number of workers may run it."""

    async def shorten() -> None:
        if count := await delete_old(database, retention):
            _log.info("old entries deleted", entries=count)

    await periodically(shorten, period=_PERIOD, log=_log, failure="old entries not deleted")


async def delete_old(database: Database, retention: timedelta, *, batch: int = _BATCH) -> int:
    """Delete the entries that are older than `retention`. Returns their number.

    Raises BackendUnavailableError.
    """
    total, count = 0, batch
    while count == batch:
        async with database.transaction() as transaction:
            count = await transaction.trail.delete_old(older_than=retention, limit=batch)
        total += count
    return total
