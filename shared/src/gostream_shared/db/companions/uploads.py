"""Expiry times of upload URLs, and the deletion of videos with an abandoned upload."""

from datetime import timedelta
from uuid import UUID

from gostream_shared.db.errors import database_errors
from gostream_shared.db.statements import Connection

#: Key of the advisory lock: one collector at a time.
_COLLECTOR = 0x676F7570


class PostgresUploads:
    """Implements gostream_shared.domain.uploads.Uploads on the connection of an open transaction."""

    def __init__(self, connection: Connection, *, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout

    async def note_url(self, video_id: UUID, *, expires_in: timedelta) -> None:
        async with database_errors(self._timeout):
            await self._connection.execute(
                """INSERT INTO uploads (video_id, expires_at) VALUES ($1, now() + $2)
                ON CONFLICT (video_id) DO UPDATE
                SET expires_at = greatest(uploads.expires_at, excluded.expires_at)""",
                video_id,
                expires_in,
            )

    async def delete_abandoned(self, *, expired_for: timedelta, limit: int) -> tuple[int, dict[UUID, int]]:
        async with database_errors(self._timeout):
            if not await self._connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _COLLECTOR):
                return 0, {}
            rows = await self._connection.fetch(
                """WITH expired AS (
                  DELETE FROM uploads WHERE video_id IN (
                    SELECT video_id FROM uploads WHERE expires_at < now() - $1::interval
                    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
                  ) RETURNING video_id
                ), abandoned AS (
                  UPDATE videos SET deleted_at = now() FROM expired
                  WHERE id = expired.video_id AND status = 'PENDING_UPLOAD' AND deleted_at IS NULL
                  RETURNING id, version
                )
                SELECT video_id, version FROM expired LEFT JOIN abandoned ON id = video_id""",
                expired_for,
                limit,
            )
        return len(rows), {row["video_id"]: row["version"] for row in rows if row["version"] is not None}
