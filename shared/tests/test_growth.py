"""What stays constant while tables grow: the count of the queue, the outbox, updates in place."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from gostream_devstack.servers.postgres import Postgres
from gostream_shared.db.database import PostgresDatabase
from tests.support.waiting import eventually

#: Rows of a product in use: finished videos, running encodes of 50 owners, and a few waiting ones.
FINISHED, RUNNING, WAITING = 20_000, 500, 5
_FILL = """
WITH made AS (
  INSERT INTO videos (id, user_id, title, content_type, status, encode_number, published_number, publication,
    attempt)
  SELECT gen_random_uuid(), 'u' || i % 50, 'film', 'video/mp4',
    CASE WHEN i <= $1 THEN 'READY' ELSE 'PROCESSING' END, 1,
    CASE WHEN i <= $1 THEN 1 END, CASE WHEN i <= $1 THEN '{}'::jsonb END,
    CASE WHEN i <= $1 + $2 THEN 1 ELSE 0 END
  FROM generate_series(1, $1::int + $2::int + $3::int) AS i
  RETURNING id, status, attempt
)
INSERT INTO encodes (video_id, number, profile, outcome, stage)
SELECT id, 1, 'default', CASE status WHEN 'READY' THEN 'READY' END,
  CASE attempt WHEN 0 THEN 'queued' ELSE 'encoding' END
FROM made
"""
#: Blocks that the count may read: of each waiting encode the way to its video, and some to begin with.
BUFFERS = 10 * WAITING


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[PostgresDatabase]:
    async with PostgresDatabase.open(database_url) as database:
        yield database


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


@pytest.mark.parametrize(("owner", "waiting"), [(None, WAITING), ("u3", 1)])
async def test_queue_is_counted_without_a_scan(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, owner: str | None, waiting: int
) -> None:
    await database.pool.execute(_FILL, FINISHED, RUNNING, WAITING, timeout=300)
    for table in ("videos", "encodes"):
        await database.pool.execute(f"VACUUM ANALYZE {table}", timeout=300)
    statements = list[tuple[Any, ...]]()
    ask = database.encodes._row

    async def kept(*statement: Any) -> asyncpg.Record | None:
        statements.append(statement)
        return await ask(*statement)

    monkeypatch.setattr(database.encodes, "_row", kept)
    assert await database.encodes.count_waiting(at_most=1000, owner=owner) == waiting

    [[sql, *arguments]] = statements
    explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}"
    [found] = json.loads(await database.pool.fetchval(explained, *arguments))
    plan = found["Plan"]
    indexes = {node["Index Name"] for node in _nodes(plan) if "Index Name" in node}
    buffers = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    print(f"{buffers} buffers, {found['Execution Time']:.2f} ms, {' '.join(sorted(indexes))}")
    assert buffers <= BUFFERS
    assert "encodes_waiting" in indexes


async def test_outbox_is_vacuumed_soon(database: PostgresDatabase, postgres_server: Postgres) -> None:
    """A backlog of an outage: the dead rows of a few of its thousands do not wait for the others."""
    name = await database.pool.fetchval("SELECT current_database()")
    async with database.pool.acquire() as connection:
        await connection.execute(
            """INSERT INTO cache_outbox (video_id, version)
            SELECT gen_random_uuid(), 1 FROM generate_series(1, 60000)"""
        )
        # Counted before the VACUUM, or the insertions alone would cause another one.
        await connection.execute("SELECT pg_stat_force_next_flush()")
    postgres_server.execute("VACUUM ANALYZE cache_outbox", name)
    postgres_server.execute("ALTER SYSTEM SET autovacuum_naptime = '1s'")
    postgres_server.execute("SELECT pg_reload_conf()")
    try:
        await database.pool.execute(
            "DELETE FROM cache_outbox WHERE seq IN (SELECT seq FROM cache_outbox LIMIT 3000)"
        )

        async def vacuumed() -> bool:
            return bool(
                await database.pool.fetchval(
                    "SELECT autovacuum_count FROM pg_stat_user_tables WHERE relname = 'cache_outbox'"
                )
            )

        await eventually(vacuumed, timeout=60)
    finally:
        postgres_server.execute("ALTER SYSTEM RESET autovacuum_naptime")
        postgres_server.execute("SELECT pg_reload_conf()")


async def test_full_pages_take_updates_in_place(database: PostgresDatabase) -> None:
    """Each page has room for a version of one of its rows. Without it, every index gets an entry."""
    await database.pool.execute(_FILL, 2000, 0, 0, timeout=300)
    before = await _updates(database)
    await database.pool.execute(
        """UPDATE videos SET playable_number = 1 WHERE id IN (
          SELECT DISTINCT ON ((ctid::text::point)[0]) id FROM videos
        )"""
    )
    updates = await _updates(database)
    made, in_place = (new - old for new, old in zip(updates, before, strict=True))
    print(f"{in_place} of {made} updates in place")
    assert in_place >= 0.9 * made > 0


async def _updates(database: PostgresDatabase) -> tuple[int, int]:
    """Returns the updates of videos so far, and those in place."""
    async with database.pool.acquire() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        row = await connection.fetchrow(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'videos'"
        )
    assert row is not None
    return row["n_tup_upd"], row["n_tup_hot_upd"]
