"""Deletion of old entries of the trail, of events and of the queue's log."""

from datetime import timedelta
from uuid import uuid4

import pytest
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter

from gostream_shared.db.database import PostgresDatabase
from gostream_worker.jobs.old_rows import LOG_RETENTION, delete_old, delete_old_events, delete_old_log
from gostream_worker.jobs.pgqueuer_leases import LeasedQueries

pytestmark = pytest.mark.stack


async def test_old_entries_are_deleted_in_batches(database: PostgresDatabase) -> None:
    await database.pool.execute(
        """INSERT INTO trail
          (at, principal, kind, issuer, peer, method, video_id, owner, outcome, request_id, changed)
        SELECT now() - make_interval(days => day), 'p', 'user', 'i', '::1', 'CreateVideo', gen_random_uuid(),
          'o', 'CHANGED', 'r', '{}'
        FROM generate_series(1, 10) AS day"""
    )

    deleted = await delete_old(database, timedelta(days=5, hours=1), batch=2)

    assert deleted == 5
    assert await database.pool.fetchval("SELECT count(*) FROM trail") == 5
    assert await delete_old(database, timedelta(days=5, hours=1)) == 0


async def test_old_events_are_deleted_in_batches(database: PostgresDatabase) -> None:
    await database.pool.execute(
        """INSERT INTO events (type, video_id, version, user_id, data, created_at)
        SELECT 'video.ready', gen_random_uuid(), 1, 'o', '{}', now() - make_interval(days => day)
        FROM generate_series(1, 10) AS day"""
    )

    deleted = await delete_old_events(database.events, timedelta(days=5, hours=1), batch=2)

    assert deleted == 5
    assert await database.pool.fetchval("SELECT count(*) FROM events") == 5


async def test_log_of_the_queue_is_bounded(database: PostgresDatabase) -> None:
    """A job that is done leaves rows in PgQueuer's log; the clock is shifted by ageing them."""
    queries = LeasedQueries(database.pool, database.listener())
    parameters = {QueueEntrypoint("transcode"): EntrypointExecutionParameter(concurrency_limit=0)}
    for _ in range(3):
        await queries.enqueue("transcode", b"{}")
        jobs = await queries.dequeue(1, parameters, QueueManagerId(uuid4()), None, timedelta(minutes=5))
        await queries.log_jobs([(job, "successful", None) for job in jobs])
    written = await database.pool.fetchval("SELECT count(*) FROM pgqueuer_log")
    assert written >= 9, "three rows for each job"

    assert await delete_old_log(database.pool, batch=2) == 0
    await database.pool.execute("UPDATE pgqueuer_log SET created = created - $1::interval", LOG_RETENTION)
    await queries.enqueue("transcode", b"{}")
    assert await delete_old_log(database.pool, batch=2) == written
    assert await database.pool.fetchval("SELECT count(*) FROM pgqueuer_log") == 1, "the new job's"
