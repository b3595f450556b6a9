"""Deletion of old entries of the trail and of old events."""

from datetime import timedelta

import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_worker.jobs.old_rows import delete_old, delete_old_events

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
