"""The metrics of the queue."""

from uuid import uuid4

import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_worker.metrics import JOBS_WAITING, LONGEST_WAIT
from gostream_worker.queue_length import measure

pytestmark = pytest.mark.stack


async def insert(database: PostgresDatabase, entrypoint: str, status: str, due: str, *, age: str) -> None:
    await database.pool.execute(
        """INSERT INTO pgqueuer (priority, status, entrypoint, payload, created, updated, execute_after)
        VALUES (0, $1::text::pgqueuer_status, $2, $3, now() - $5::text::interval, now(),
          now() + $4::text::interval)""",
        status,
        entrypoint,
        str(uuid4()).encode(),
        due,
        age,
    )


async def test_jobs_that_may_start_are_measured(database: PostgresDatabase) -> None:
    await insert(database, "transcode", "queued", "-1 hour", age="10 minutes")
    await insert(database, "transcode", "queued", "-1 minute", age="1 hour")
    await insert(database, "transcode", "picked", "-1 hour", age="1 hour")
    await insert(database, "remove", "queued", "1 day", age="1 hour")
    JOBS_WAITING.labels("fetch").set(9)

    await measure(database.pool)

    waiting = {kind: JOBS_WAITING.labels(kind)._value.get() for kind in ("transcode", "remove", "fetch")}
    assert waiting == {"transcode": 2, "remove": 0, "fetch": 0}
    assert 600 <= LONGEST_WAIT.labels("transcode")._value.get() < 900
