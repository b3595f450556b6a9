"""What owners use. Triggers of 0011_usage.sql count; the statements here read, and record bytes."""

from uuid import UUID

import asyncpg

from gostream_shared.db.errors import database_errors
from gostream_shared.db.statements import Connection
from gostream_shared.domain.quotas import Quota, Usage
from gostream_shared.jobs.pgqueuer import CHUNK, TRANSCODE

# The statements of a recount; $1 is the owner. The first two repair what workers of the previous release did,
# which record no bytes: encodes that they published, and objects that they removed. Objects that are not
# removed yet have a job.
_NOTE_MISSING = """INSERT INTO stored_bytes (video_id, number, owner, bytes)
SELECT id, published_number, user_id, coalesce(estimated_bytes(publication), 0)
FROM videos WHERE user_id = $1 AND deleted_at IS NULL AND published_number IS NOT NULL
ON CONFLICT DO NOTHING"""
_FORGET_REMOVED = """DELETE FROM stored_bytes AS s USING videos AS v
WHERE s.owner = $1 AND v.id = s.video_id
  AND (v.deleted_at IS NOT NULL OR (s.number > 0 AND s.number IS DISTINCT FROM v.published_number))
  AND NOT EXISTS (
    SELECT 1 FROM pgqueuer WHERE entrypoint = 'remove'
      AND convert_from(payload, 'UTF8')::jsonb ->> 'video_id' = s.video_id::text
  )"""
_RECOUNT = """UPDATE owner_usage AS u SET videos = v.videos, encodes = v.encodes, stored_bytes = s.bytes
FROM (
  SELECT count(*) AS videos, count(*) FILTER (WHERE status = 'PROCESSING') AS encodes
  FROM videos WHERE user_id = $1 AND deleted_at IS NULL
) AS v, (SELECT coalesce(sum(bytes), 0) AS bytes FROM stored_bytes WHERE owner = $1) AS s
WHERE u.owner = $1 AND (u.videos, u.encodes, u.stored_bytes) <> (v.videos, v.encodes, s.bytes)"""


class PostgresUsages:
    """Implements gostream_shared.domain.quotas.Usages over a pool or one connection."""

    def __init__(self, connection: Connection, *, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout

    async def locked(self, owner: str) -> Usage:
        async with database_errors(self._timeout):
            await self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")  # fires the triggers that count
            row = await self._connection.fetchrow(
                """SELECT u.videos, u.stored_bytes, u.encodes, l.videos AS max_videos,
                  l.stored_bytes AS max_stored_bytes, l.encodes AS max_encodes
                FROM owner_usage AS u LEFT JOIN owner_limits AS l USING (owner)
                WHERE owner = $1 FOR UPDATE OF u""",
                owner,
            )
        if row is None:
            return Usage({}, {})
        limits = {quota: row[f"max_{quota}"] for quota in Quota}
        return Usage(
            {quota: row[quota] for quota in Quota},
            {quota: limit for quota, limit in limits.items() if limit is not None},
        )

    async def next_turn(self, owner: str) -> int:
        async with database_errors(self._timeout):
            turn: int = await self._connection.fetchval(
                """INSERT INTO owner_usage AS u (owner, turn)
                SELECT $1, coalesce(
                  (SELECT -max(priority) FROM pgqueuer
                   WHERE entrypoint = ANY($2) AND status = 'queued' AND execute_after <= now()),
                  (SELECT max(turn) FROM owner_usage),
                  0)
                ON CONFLICT (owner) DO UPDATE SET turn = greatest(u.turn + 1, excluded.turn)
                RETURNING turn""",
                owner,
                [TRANSCODE, CHUNK],
            )
        return turn

    async def note_stored(self, video_id: UUID, number: int, size: int) -> None:
        async with database_errors(self._timeout):
            await self._connection.execute(
                """INSERT INTO stored_bytes AS s (video_id, number, owner, bytes)
                SELECT id, $2, user_id, $3 FROM videos WHERE id = $1 FOR SHARE
                ON CONFLICT (video_id, number) DO UPDATE SET bytes = excluded.bytes
                WHERE s.bytes <> excluded.bytes""",
                video_id,
                number,
                size,
            )

    async def forget_stored(self, video_id: UUID, number: int | None = None) -> None:
        async with database_errors(self._timeout):
            await self._connection.execute(
                "DELETE FROM stored_bytes WHERE video_id = $1 AND ($2::int IS NULL OR number = $2)",
                video_id,
                number,
            )


async def recount(connection: asyncpg.Connection) -> int:
    """Make the usage of every owner equal to its videos. Returns the number of owners whose usage was wrong.

    Writers of one owner wait while its row is counted. An interrupted run can be repeated.
    """
    owners = await connection.fetch(
        """SELECT user_id AS owner FROM videos WHERE user_id <> '' UNION SELECT owner FROM owner_usage
        UNION SELECT owner FROM stored_bytes WHERE owner <> ''"""
    )
    wrong = 0
    for row in owners:
        # In separate transactions, because every writer locks the row of the owner last.
        changed = [await connection.execute(sql, row["owner"]) for sql in (_NOTE_MISSING, _FORGET_REMOVED)]
        async with connection.transaction():
            # Locks the row first: a writer counts its change after this transaction, or has committed it.
            await connection.execute(
                """INSERT INTO owner_usage AS u (owner) VALUES ($1)
                ON CONFLICT (owner) DO UPDATE SET owner = excluded.owner""",
                row["owner"],
            )
            changed.append(await connection.execute(_RECOUNT, row["owner"]))
        wrong += any(not done.endswith(" 0") for done in changed)
    return wrong
