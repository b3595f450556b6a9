"""Tombstones of videos: their restoration, the end of their retention, and videos that expire."""

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from gostream_shared.db.rows import VIDEO_COLUMNS, video_from_row
from gostream_shared.db.statements import Connection, Statements
from gostream_shared.db.videos import PostgresVideoRepository
from gostream_shared.domain.errors import (
    EtagMismatchError,
    ExternalIdInUseError,
    VideoNotDeletedError,
    VideoNotFoundError,
)
from gostream_shared.domain.video import Video

#: Shortest time to wait: the row may have changed between two statements.
_AGAIN = timedelta(seconds=1)


class PostgresDeletions(Statements):
    """Implements gostream_shared.domain.videos.deletions.Deletions over a pool or one connection."""

    def __init__(self, connection: Connection, *, timeout: float) -> None:
        super().__init__(connection, timeout=timeout)
        self._videos = PostgresVideoRepository(connection, timeout=timeout)

    async def undelete(
        self, video_id: UUID, *, version: int | None = None, owner: str | None = None
    ) -> Video:
        try:
            row = await self._row(
                f"""WITH restored AS (
                  UPDATE videos SET deleted_at = NULL, undelete_until = NULL,
                    status = CASE status WHEN 'PROCESSING' THEN 'CANCELLED' ELSE status END,
                    expires_at = CASE WHEN expires_at > now() THEN expires_at END
                  WHERE id = $1 AND undelete_until > now() AND ($2::bigint IS NULL OR version = $2)
                    AND ($3::text IS NULL OR user_id = $3)
                  RETURNING {VIDEO_COLUMNS}
                ), history AS (
                  UPDATE encodes SET outcome = 'CANCELLED', finished_at = now() FROM restored
                  WHERE video_id = $1 AND number = restored.encode_number AND outcome IS NULL
                    AND restored.status = 'CANCELLED'
                )
                SELECT * FROM restored""",
                video_id,
                version,
                owner,
            )
        except asyncpg.UniqueViolationError:
            raise ExternalIdInUseError from None
        if row is not None:
            return video_from_row(row)
        video = await self._videos.get_restorable(video_id, owner=owner)
        if video.deleted_at is None:
            raise VideoNotDeletedError(video_id)
        if version not in (None, video.version):
            raise EtagMismatchError(video_id)
        raise VideoNotFoundError(video_id, version=video.version)

    async def end_retention(self, video_id: UUID) -> timedelta | None:
        # The row lock orders this and UndeleteVideo: the second statement changes no row.
        ended = await self._row(
            """UPDATE videos SET undelete_until = NULL WHERE id = $1 AND undelete_until <= now()
            RETURNING id""",
            video_id,
        )
        if ended is not None:
            return timedelta(0)
        row = await self._row(
            "SELECT deleted_at, undelete_until - now() AS remaining FROM videos WHERE id = $1", video_id
        )
        if row is None:
            return timedelta(0)
        if row["deleted_at"] is None:
            return None
        return timedelta(0) if row["remaining"] is None else max(row["remaining"], _AGAIN)

    async def delete_expired(self, *, retention: timedelta, limit: int) -> dict[UUID, int]:
        rows = await self._rows(
            """WITH due AS (
              SELECT id FROM videos WHERE expires_at <= now() AND deleted_at IS NULL
              ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
            )
            UPDATE videos SET deleted_at = now(), undelete_until = now() + $1::interval
            FROM due WHERE videos.id = due.id
            RETURNING videos.id, version""",
            retention,
            limit,
        )
        return {row["id"]: row["version"] for row in rows}

    async def expire(
        self, video_id: UUID, expires_at: datetime, *, retention: timedelta
    ) -> int | timedelta | None:
        row = await self._row(
            """UPDATE videos SET deleted_at = now(), undelete_until = now() + $3::interval
            WHERE id = $1 AND deleted_at IS NULL AND expires_at = $2 AND expires_at <= now()
            RETURNING version""",
            video_id,
            expires_at,
            retention,
        )
        if row is not None:
            return int(row["version"])
        row = await self._row(
            """SELECT expires_at - now() AS remaining FROM videos
            WHERE id = $1 AND deleted_at IS NULL AND expires_at = $2""",
            video_id,
            expires_at,
        )
        return None if row is None else max(row["remaining"], _AGAIN)
