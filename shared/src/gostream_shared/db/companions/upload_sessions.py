"""The rows of upload sessions."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg

from gostream_shared.db.statements import Statements
from gostream_shared.domain.uploads import UploadSession, UploadState

_COLUMNS = """video_id, generation, store_upload_id, size_bytes, part_size, expires_at,
  CASE WHEN state = 'OPEN' AND expires_at <= now() THEN 'EXPIRED' ELSE state END AS state"""


class PostgresUploadSessions(Statements):
    """Implements domain.uploads.UploadSessions over a pool or one connection."""

    async def get(self, video_id: UUID) -> UploadSession | None:
        row = await self._row(f"SELECT {_COLUMNS} FROM upload_sessions WHERE video_id = $1", video_id)
        return _session(row) if row else None

    async def declared_size(self, video_id: UUID) -> int | None:
        row = await self._row("SELECT size_bytes FROM videos WHERE id = $1", video_id)
        return row["size_bytes"] if row else None

    async def begin(self, session: UploadSession, *, expires_in: timedelta) -> UploadSession | None:
        row = await self._row(
            f"""INSERT INTO upload_sessions AS old
              (video_id, generation, store_upload_id, size_bytes, part_size, expires_at)
            SELECT id, $2, $3, $4, $5, now() + $6 FROM videos
            WHERE id = $1 AND status = 'PENDING_UPLOAD' AND deleted_at IS NULL
            ON CONFLICT (video_id) DO UPDATE SET
              generation = excluded.generation, store_upload_id = excluded.store_upload_id,
              size_bytes = excluded.size_bytes, part_size = excluded.part_size,
              expires_at = excluded.expires_at, created_at = now(), state = 'OPEN'
            WHERE old.generation = excluded.generation - 1
              AND (old.state IN ('ABORTED', 'EXPIRED') OR old.state = 'OPEN' AND old.expires_at <= now())
            RETURNING {_COLUMNS}""",
            session.video_id,
            session.generation,
            session.store_upload_id,
            session.size_bytes,
            session.part_size,
            expires_in,
        )
        return _session(row) if row else None

    async def end(
        self, video_id: UUID, generation: int, state: UploadState, *, after: Sequence[UploadState]
    ) -> bool:
        row = await self._row(
            """UPDATE upload_sessions SET state = $3
            WHERE video_id = $1 AND generation = $2 AND state = ANY($4) RETURNING video_id""",
            video_id,
            generation,
            state.value,
            [each.value for each in after],
        )
        return row is not None

    async def open_among(self, store_upload_ids: Sequence[str]) -> set[str]:
        rows = await self._rows(
            """SELECT store_upload_id FROM upload_sessions
            WHERE state = 'OPEN' AND expires_at > now() AND store_upload_id = ANY($1)""",
            list(store_upload_ids),
        )
        return {row["store_upload_id"] for row in rows}


def _session(row: asyncpg.Record) -> UploadSession:
    return UploadSession(
        video_id=row["video_id"],
        state=UploadState(row["state"]),
        generation=row["generation"],
        store_upload_id=row["store_upload_id"],
        size_bytes=row["size_bytes"],
        part_size=row["part_size"],
        expires_at=row["expires_at"],
    )
