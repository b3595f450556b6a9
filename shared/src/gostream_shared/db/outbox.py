"""The outbox: versions that were committed but perhaps not announced yet. Rows are made by trigger."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from gostream_shared.db.errors import database_errors


class PostgresOutbox:
    """Implements gostream_shared.domain.repositories.Outbox."""

    def __init__(self, pool: asyncpg.Pool, *, timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout

    @asynccontextmanager
    async def claim(self, limit: int) -> AsyncIterator[Sequence[tuple[UUID, int]]]:
        """Unannounced versions, the highest of each video, locked for the block and forgotten after it.

        By row locks, never by `seq > last`: sequences do not commit in order. An error gives the rows back.
        """
        async with (
            database_errors(self._timeout * 2),
            self._pool.acquire() as connection,
            connection.transaction(),
        ):
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
        """The highest version of each video with rows, claimed or not; None if more than `limit`."""
        async with database_errors(self._timeout):
            rows = await self._pool.fetch(
                "SELECT video_id, max(version) AS version FROM cache_outbox GROUP BY video_id LIMIT $1",
                limit + 1,
            )
        if len(rows) > limit:
            return None
        return {row["video_id"]: row["version"] for row in rows}

    async def settle(self, video_id: UUID, version: int) -> None:
        """Forget the video's rows up to that version: they were announced."""
        async with database_errors(self._timeout):
            await self._pool.execute(
                "DELETE FROM cache_outbox WHERE video_id = $1 AND version <= $2", video_id, version
            )
