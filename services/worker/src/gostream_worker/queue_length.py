"""Measures how many jobs wait for a worker, and for how long."""

from functools import partial

import asyncpg
import structlog

from gostream_shared.db.errors import database_errors
from gostream_shared.jobs.pgqueuer import (
    CHUNK,
    EXPIRE,
    EXPIRE_UPLOAD,
    FETCH,
    FETCH_TRACK,
    FINISH,
    PUBLISH_TRACKS,
    REMOVE,
    TRANSCODE,
)
from gostream_worker.metrics import JOBS_WAITING, LONGEST_WAIT
from gostream_worker.retry import periodically

_log = structlog.stdlib.get_logger("gostream.queue")

#: Seconds between two measurements, and those of one.
_PERIOD = 15.0
_TIMEOUT = 5.0
_KINDS = (TRANSCODE, CHUNK, FINISH, FETCH, REMOVE, EXPIRE, EXPIRE_UPLOAD, PUBLISH_TRACKS, FETCH_TRACK)


async def keep_measuring(pool: asyncpg.Pool) -> None:
    """Measure about every 15 seconds. Every worker reports the same queue."""
    await periodically(partial(measure, pool), period=_PERIOD, log=_log, failure="queue not measured")


async def measure(pool: asyncpg.Pool) -> None:
    """Set the metrics of the jobs that may start now and have not, by kind.

    Raises BackendUnavailableError.
    """
    async with database_errors(_TIMEOUT):
        rows = await pool.fetch(
            """SELECT entrypoint, count(*) AS waiting,
              extract(epoch FROM now() - min(greatest(created, execute_after)))::float8 AS seconds
            FROM pgqueuer WHERE status = 'queued' AND execute_after <= now() GROUP BY entrypoint"""
        )
    found = {row["entrypoint"]: row for row in rows}
    for kind in _KINDS:
        row = found.get(kind)
        JOBS_WAITING.labels(kind).set(row["waiting"] if row else 0)
        LONGEST_WAIT.labels(kind).set(row["seconds"] if row else 0)
