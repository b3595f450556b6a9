"""Deletes rows that only grow in number: old events, old entries of the trail, and of PgQueuer's log."""

from datetime import timedelta

import asyncpg
import structlog

from gostream_shared.db.errors import database_errors
from gostream_shared.domain.companions.events import Events
from gostream_shared.domain.repositories import Database
from gostream_worker.retry import periodically

_log = structlog.stdlib.get_logger("gostream.old-rows")

#: Seconds between two runs, and those of one statement.
_PERIOD = 3600.0
_TIMEOUT = 5.0
#: Rows per transaction.
_BATCH = 1000
#: Age at which a row of PgQueuer's log is deleted. Each job leaves three, and GoStream reads none.
LOG_RETENTION = timedelta(days=7)


async def keep_short(
    database: Database, pool: asyncpg.Pool, events: Events, *, trail: timedelta, log: timedelta
) -> None:
    """Delete old rows every hour. Any number of workers may run it.

    `trail` and `log`: the ages at which its entries and events are old.
    """

    async def shorten() -> None:
        entries, jobs = await delete_old(database, trail), await delete_old_log(pool)
        happened = await delete_old_events(events, log)
        if entries or jobs or happened:
            _log.info("old rows deleted", trail=entries, queue_log=jobs, events=happened)

    await periodically(shorten, period=_PERIOD, log=_log, failure="old rows not deleted")


async def delete_old(database: Database, retention: timedelta, *, batch: int = _BATCH) -> int:
    """Delete the entries of the trail that are older than `retention`. Returns their number.

    Raises BackendUnavailableError.
    """
    total, count = 0, batch
    while count == batch:
        async with database.transaction() as transaction:
            count = await transaction.trail.delete_old(older_than=retention, limit=batch)
        total += count
    return total


async def delete_old_events(events: Events, retention: timedelta, *, batch: int = _BATCH) -> int:
    """Delete the events that are older than `retention`. Returns their number.

    Raises BackendUnavailableError.
    """
    total, count = 0, batch
    while count == batch:
        count = await events.delete_old(older_than=retention, limit=batch)
        total += count
    return total


async def delete_old_log(pool: asyncpg.Pool, *, batch: int = _BATCH) -> int:
    """Delete the rows of PgQueuer's log that are older than LOG_RETENTION. Returns their number.

    Raises BackendUnavailableError.
    """
    total, count = 0, batch
    while count == batch:
        async with database_errors(_TIMEOUT):
            done = await pool.execute(
                """DELETE FROM pgqueuer_log WHERE id IN (
                  SELECT id FROM pgqueuer_log WHERE created < now() - $1::interval
                  ORDER BY created LIMIT $2 FOR UPDATE SKIP LOCKED
                )""",
                LOG_RETENTION,
                batch,
            )
        count = int(done.rpartition(" ")[2])
        total += count
    return total
