"""Deletes old entries of the trail and of the event log."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from gostream_shared.domain.companions.events import Events
from gostream_shared.domain.repositories import Database
from gostream_worker.retry import periodically

_log = structlog.stdlib.get_logger("gostream.retention")

#: Seconds between two runs.
_PERIOD = 3600.0
#: Rows per transaction.
_BATCH = 1000


async def keep_short(database: Database, events: Events, *, trail: timedelta, log: timedelta) -> None:
    """Delete entries of the trail and events that are older, every hour. Any number of workers may run it."""

    async def shorten() -> None:
        entries, rows = await delete_old(database, trail), await delete_old_events(events, log)
        if entries or rows:
            _log.info("old rows deleted", entries=entries, events=rows)

    await periodically(shorten, period=_PERIOD, log=_log, failure="old rows not deleted")


async def delete_old(database: Database, retention: timedelta, *, batch: int = _BATCH) -> int:
    """Delete the entries that are older than `retention`. Returns their number.

    Raises BackendUnavailableError.
    """

    async def delete(limit: int) -> int:
        async with database.transaction() as transaction:
            return await transaction.trail.delete_old(older_than=retention, limit=limit)

    return await _in_batches(delete, batch)


async def delete_old_events(events: Events, retention: timedelta, *, batch: int = _BATCH) -> int:
    """Delete the events that are older than `retention`. Returns their number.

    Raises BackendUnavailableError.
    """
    return await _in_batches(lambda limit: events.delete_old(older_than=retention, limit=limit), batch)


async def _in_batches(delete: Callable[[int], Awaitable[int]], batch: int) -> int:
    total, count = 0, batch
    while count == batch:
        count = await delete(batch)
        total += count
    return total
