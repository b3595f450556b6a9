"""The video repository: one SQL statement per method.

The statements contain the guards (`WHERE … AND status = ANY …`), so there is no read-modify-write: a lost
race returns no row and never leads to a wrong state.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from gostream_shared.db.rows import VIDEO_COLUMNS, video_from_row
from gostream_shared.db.statements import Statements
from gostream_shared.domain.errors import (
    EtagMismatchError,
    OthersVideoError,
    RequestIdReusedError,
    VideoNotFoundError,
)
from gostream_shared.domain.repositories import (
    ListedVideo,
    NewVideo,
    Position,
    State,
    VideoChanges,
    VideoFilter,
)
from gostream_shared.domain.video import Video


class PostgresVideoRepository(Statements):
    """Implements gostream_shared.domain.repositories.VideoRepository over a pool or one connection."""

    async def get(self, video_id: UUID, *, owner: str | None = None) -> Video:
        row = await self._row(
            f"SELECT {VIDEO_COLUMNS}, deleted_at FROM videos WHERE id = $1",
            video_id,
        )
        if row is None:
            raise VideoNotFoundError(video_id)
        if owner is not None and row["user_id"] != owner:
            raise OthersVideoError(video_id)
        if row["deleted_at"] is not None:
            raise VideoNotFoundError(video_id, version=row["version"])
        return video_from_row(row)

    async def get_many(self, video_ids: Sequence[UUID]) -> dict[UUID, Video]:
        rows = await self._rows(
            f"SELECT {VIDEO_COLUMNS} FROM videos WHERE id = ANY($1) AND deleted_at IS NULL",
            list(video_ids),
        )
        return {row["id"]: video_from_row(row) for row in rows}

    async def list_page(self, which: VideoFilter, *, limit: int, after: Position | None) -> list[ListedVideo]:
        conditions, arguments = ["deleted_at IS NULL"], list[Any]()
        for column, value in (("user_id", which.user_id), ("status", which.status)):
            if value is not None:
                arguments.append(str(value))
                conditions.append(f"{column} = ${len(arguments)}")
        if after is not None:
            arguments += [after.created_at, after.id]
            conditions.append(f"(created_at, id) < (${len(arguments) - 1}, ${len(arguments)})")
        arguments.append(limit)
        rows = await self._rows(
            f"SELECT {VIDEO_COLUMNS} FROM videos WHERE {' AND '.join(conditions)} "
            f"ORDER BY created_at DESC, id DESC LIMIT ${len(arguments)}",
            *arguments,
        )
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
               created_by)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
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
        if row is None or row["fingerprint"] != new.fingerprint:
            raise RequestIdReusedError(str(new.request_id))
        if row["deleted_at"] is not None:
            raise RequestIdReusedError(str(new.request_id), deleted=True)
        return video_from_row(row)

    async def update(
        self, video_id: UUID, changes: VideoChanges, *, version: int | None = None, owner: str | None = None
    ) -> tuple[Video, bool]:
        row = await self._row(
            f"""UPDATE videos SET playback_policy = $3, playback_epoch = playback_epoch + 1
            WHERE id = $1 AND deleted_at IS NULL AND ($2::bigint IS NULL OR version = $2)
              AND ($4::text IS NULL OR user_id = $4) AND playback_policy <> $3
            RETURNING {VIDEO_COLUMNS}""",
            video_id,
            version,
            changes.playback_policy.value,
            owner,
        )
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

    async def delete(self, video_id: UUID, *, version: int | None = None, owner: str | None = None) -> int:
        row = await self._row(
            """UPDATE videos SET deleted_at = now()
            WHERE id = $1 AND deleted_at IS NULL AND ($2::bigint IS NULL OR version = $2)
              AND ($3::text IS NULL OR user_id = $3)
            RETURNING version""",
            video_id,
            version,
            owner,
        )
        if row is not None:
            return int(row["version"])
        await self.get(video_id, owner=owner)
        raise EtagMismatchError(video_id)
