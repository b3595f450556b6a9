"""The outboxes: committed versions to announce, and gates to change. Triggers insert the rows."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from gostream_shared.db.connecting.pool import transaction
from gostream_shared.db.errors import database_errors
from gostream_shared.db.rows import VIDEO_COLUMNS, video_from_row
from gostream_shared.domain.playback import GateHold


class PostgresOutbox:
    """Implements gostream_shared.cache.outbox.port.SharedOutbox."""

    relay_lock = 0x676F73746F7574  # "gostout"

    def __init__(self, pool: asyncpg.Pool, *, timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout

    @asynccontextmanager
    async def claim(self, limit: int) -> AsyncIterator[Sequence[tuple[UUID, int]]]:
        """Lock rows and yield the highest version of each video; delete the rows at the end of the block.

        Uses row locks instead of `seq > last`, because sequences do not commit in order. An error in the
        block releases the rows.
        """
        async with database_errors(self._timeout * 2), transaction(self._pool) as connection:
            rows = await connection.fetch(
                """SELECT seq, video_id, version FROM cache_outbox
                ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED""",
                limit,
            )
            latest: dict[UUID, int] = {}
            for row in rows:
                latest[row["video_id"]] = max(row["version"], latest.get(row["video_id"], 0))
            yield list(latest.items())
            await connection.execute(
                "DELETE FROM cache_outbox WHERE seq = ANY($1)", [row["seq"] for row in rows]
            )

    async def unsettled(self, limit: int) -> Mapping[UUID, int] | None:
        """Returns the highest version of each video with rows, claimed or not; None for more than `limit`."""
        async with database_errors(self._timeout):
            rows = await self._pool.fetch(
                "SELECT video_id, max(version) AS version FROM cache_outbox GROUP BY video_id LIMIT $1",
                limit + 1,
            )
        if len(rows) > limit:
            return None
        return {row["video_id"]: row["version"] for row in rows}

    async def has_relay(self) -> bool:
        async with database_errors(self._timeout):
            found: bool = await self._pool.fetchval(
                """SELECT EXISTS (SELECT FROM pg_locks
                  WHERE locktype = 'advisory' AND granted AND objsubid = 1
                    AND classid = ($1::bigint >> 32)::oid AND objid = ($1::bigint & 4294967295)::oid
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))""",
                self.relay_lock,
            )
        return found

    async def settle(self, video_id: UUID, version: int) -> None:
        """Delete the announced rows of the video, up to `version`."""
        async with database_errors(self._timeout):
            await self._pool.execute(
                "DELETE FROM cache_outbox WHERE video_id = $1 AND version <= $2", video_id, version
            )


class PostgresGateChanges:
    """Implements gostream_shared.domain.playback.GateChanges."""

    def __init__(self, pool: asyncpg.Pool, *, timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout

    async def due(self, limit: int) -> Sequence[UUID]:
        async with database_errors(self._timeout):
            rows = await self._pool.fetch(
                """SELECT video_id FROM gate_changes WHERE due_at <= now()
                GROUP BY video_id ORDER BY min(due_at) LIMIT $1""",
                limit,
            )
        return [row["video_id"] for row in rows]

    async def count_due(self, *, at_most: int) -> int:
        async with database_errors(self._timeout):
            found = await self._pool.fetchval(
                """SELECT count(*) FROM
                (SELECT FROM gate_changes WHERE due_at <= now() LIMIT $1) AS found""",
                at_most,
            )
        return int(found)

    @asynccontextmanager
    async def hold(self, video_id: UUID) -> AsyncIterator[GateHold | None]:
        """Lock the video's gates, not its row: writers must not wait for the object store."""
        async with database_errors(self._timeout * 2), transaction(self._pool) as connection:
            lock = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))"
            if not await connection.fetchval(lock, f"gate/{video_id}"):
                yield None
                return
            # In one statement, so that `gate` includes every change that is deleted.
            [changes] = await connection.fetch(
                f"""SELECT {VIDEO_COLUMNS}, ARRAY(SELECT seq FROM gate_changes
                        WHERE video_id = $1 AND due_at <= clock_timestamp()) AS seqs,
                  (SELECT min(changed_at) FROM gate_changes
                   WHERE video_id = $1 AND due_at <= clock_timestamp()) AS changed_at
                FROM (SELECT $1::uuid AS wanted) AS one LEFT JOIN videos ON id = wanted""",
                video_id,
            )
            gate = None if changes["id"] is None else video_from_row(changes).gate
            yield GateHold(gate, changes["changed_at"])
            await connection.execute("DELETE FROM gate_changes WHERE seq = ANY($1)", changes["seqs"])
