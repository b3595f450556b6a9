"""The video repository: one SQL statement per method.

The statements contain the guards (`WHERE … AND status = ANY …`), so there is no read-modify-write: a lost
race returns no row and never leads to a wrong state.
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

import asyncpg

from gostream_shared.db.companions.listing import listing
from gostream_shared.db.rows import VIDEO_COLUMNS, labels_json, video_from_row
from gostream_shared.db.statements import Statements
from gostream_shared.domain.errors import (
    EtagMismatchError,
    ExternalIdInUseError,
    OthersVideoError,
    RequestIdReusedError,
    VideoNotFoundError,
)
from gostream_shared.domain.repositories import NewVideo, VideoChanges
from gostream_shared.domain.video import Video
from gostream_shared.domain.videos.listing import ListedVideo, Position, State, VideoFilter

#: The types of the columns that UpdateVideo changes.
_TYPES = {
    "title": "text",
    "labels": "jsonb",
    "external_id": "text",
    "expires_at": "timestamptz",
    "playback_policy": "text",
}


class PostgresVideoRepository(Statements):
    """Implements gostream_shared.domain.repositories.VideoRepository over a pool or one connection."""

    async def get(self, video_id: UUID, *, owner: str | None = None) -> Video:
        return await self._get(video_id, owner=owner, restorable=False)

    async def get_restorable(self, video_id: UUID, *, owner: str | None = None) -> Video:
        return await self._get(video_id, owner=owner, restorable=True)

    async def _get(self, video_id: UUID, *, owner: str | None, restorable: bool) -> Video:
        row = await self._row(
            f"SELECT {VIDEO_COLUMNS}, undelete_until FROM videos WHERE id = $1",
            video_id,
        )
        if row is None:
            raise VideoNotFoundError(video_id)
        if owner is not None and row["user_id"] != owner:
            raise OthersVideoError(video_id)
        if row["deleted_at"] is not None and not (restorable and row["undelete_until"] is not None):
            raise VideoNotFoundError(video_id, version=row["version"])
        return video_from_row(row)

    async def get_many(self, video_ids: Sequence[UUID]) -> dict[UUID, Video]:
        rows = await self._rows(
            f"SELECT {VIDEO_COLUMNS} FROM videos WHERE id = ANY($1) AND deleted_at IS NULL",
            list(video_ids),
        )
        return {row["id"]: video_from_row(row) for row in rows}

    async def list_page(self, which: VideoFilter, *, limit: int, after: Position | None) -> list[ListedVideo]:
        page = listing(which, limit=limit, after=after)
        read = self._rows_planned_anew if page.is_search else self._rows
        rows = await read(page.sql, *page.arguments)
        return [
            ListedVideo(
                State(row["id"], row["version"], row["updated_at"]),
                row["created_at"],
                partial(video_from_row, row),
            )
            for row in rows
        ]

    async def create(self, new: NewVideo) -> Video:
        row = await self._row(
            f"""INSERT INTO videos
              (id, user_id, title, content_type, size_bytes, request_id, fingerprint, playback_policy,
               created_by, labels, external_id)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
            ON CONFLICT DO NOTHING
            RETURNING {VIDEO_COLUMNS}""",
            new.id,
            new.user_id,
            new.title,
            new.content_type,
            new.size_bytes,
            new.request_id,
            new.fingerprint,
            new.playback_policy.value,
            new.created_by,
            labels_json(new.labels),
            new.external_id or None,
        )
        return video_from_row(row) if row else await self._created_before(new)

    async def _created_before(self, new: NewVideo) -> Video:
        row = await self._row(
            f"""SELECT {VIDEO_COLUMNS}, fingerprint, deleted_at FROM videos
            WHERE user_id = $1 AND request_id = $2 AND created_by = $3""",
            new.user_id,
            new.request_id,
            new.created_by,
        )
        if row is None and await self._has_external_id(new):
            raise ExternalIdInUseError
        if row is None or row["fingerprint"] != new.fingerprint:
            raise RequestIdReusedError(str(new.request_id))
        if row["deleted_at"] is not None:
            raise RequestIdReusedError(str(new.request_id), deleted=True)
        return video_from_row(row)

    async def _has_external_id(self, new: NewVideo) -> bool:
        sql = "SELECT FROM videos WHERE user_id = $1 AND external_id = $2 AND deleted_at IS NULL"
        return await self._row(sql, new.user_id, new.external_id or None) is not None

    async def update(
        self, video_id: UUID, changes: VideoChanges, *, version: int | None = None, owner: str | None = None
    ) -> tuple[Video, bool]:
        values = {
            "title": changes.title,
            "labels": labels_json(changes.labels),
            "external_id": changes.external_id or None,
            "expires_at": changes.expires_at,
            "playback_policy": changes.playback_policy.value,
        }
        names = [name for name in _TYPES if name in changes.fields]
        new = {name: f"${number}::{_TYPES[name]}" for number, name in enumerate(names, start=4)}
        assignments = [f"{name} = {value}" for name, value in new.items()]
        if "playback_policy" in new:
            another = f"playback_policy <> {new['playback_policy']}"
            assignments.append(f"playback_epoch = playback_epoch + ({another})::int")
        differs = " OR ".join(f"{name} IS DISTINCT FROM {value}" for name, value in new.items())
        try:
            row = await self._row(
                f"""UPDATE videos SET {", ".join(assignments)}
                WHERE id = $1 AND deleted_at IS NULL AND ($2::bigint IS NULL OR version = $2)
                  AND ($3::text IS NULL OR user_id = $3) AND ({differs})
                RETURNING {VIDEO_COLUMNS}""",
                video_id,
                version,
                owner,
                *(values[name] for name in names),
            )
        except asyncpg.UniqueViolationError:
            raise ExternalIdInUseError from None
        if row is not None:
            return video_from_row(row), True
        video = await self.get(video_id, owner=owner)
        if version not in (None, video.version):
            raise EtagMismatchError(video_id)
        return video, False

    async def revoke_playback(self, video_id: UUID, *, owner: str | None = None) -> Video:
        row = await self._row(
            f"""UPDATE videos SET playback_epoch = playback_epoch + 1
            WHERE id = $1 AND deleted_at IS NULL AND ($2::text IS NULL OR user_id = $2)
            RETURNING {VIDEO_COLUMNS}""",
            video_id,
            owner,
        )
        return video_from_row(row) if row else await self.get(video_id, owner=owner)

    async def delete(
        self,
        video_id: UUID,
        *,
        version: int | None = None,
        owner: str | None = None,
        retention: timedelta | None = None,
    ) -> int:
        row = await self._row(
            """UPDATE videos
            SET deleted_at = coalesce(deleted_at, now()), undelete_until = now() + $4::interval
            WHERE id = $1 AND ($2::bigint IS NULL OR version = $2) AND ($3::text IS NULL OR user_id = $3)
              AND (deleted_at IS NULL OR ($4::interval IS NULL AND undelete_until IS NOT NULL))
            RETURNING version""",
            video_id,
            version,
            owner,
            retention,
        )
        if row is not None:
            return int(row["version"])
        await self._get(video_id, owner=owner, restorable=retention is None)
        raise EtagMismatchError(video_id)
