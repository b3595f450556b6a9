"""The outbox: committed versions that may not be announced yet. A trigger inserts the rows."""

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
        """Lock rows and yield the highest version of each video; delete the rows at the end of the block.

        Uses row locks instead of `seq > last`, because sequences do not commit in order. An error in the
        block releases the rows.
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
        """Returns the highest version of each video with rows, claimed or not; None for more than `limit`."""
        async with database_errors(self._timeout):
            rows = await self._pool.fetch(
                "SELECT video_id, max(version) AS version FROM cache_outbox GROUP BY video_id LIMIT $1",
                limit + 1,
            )
        if len(rows) > limit:
            return None
        return {row["video_id"]: row["version"] for row in rows}

    async def settle(self, video_id: UUID, version: int) -> None:
        """Delete the announced rows of the video, up to `version`."""
        async with database_errors(self._timeout):
            await self._pool.execute(
                "DELETE FROM cache_outbox WHERE video_id = $1 AND version <= $2", video_id, version
            )
