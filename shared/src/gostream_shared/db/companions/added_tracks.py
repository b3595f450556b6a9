"""Subtitles that were added to videos."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from gostream_shared.db.rows import VIDEO_COLUMNS, publication_json, video_from_row
from gostream_shared.db.statements import Statements
from gostream_shared.domain.companions.added_tracks import AddedState, AddedTrack, TrackChanges
from gostream_shared.domain.errors import RequestIdReusedError, VideoNotFoundError
from gostream_shared.domain.tracks import TrackCode
from gostream_shared.domain.video import Publication, Video

_COLUMNS = """video_id, id, number, language, name, is_default, is_forced, is_sdh, state, error_code, url,
  size_bytes"""
_CHANGEABLE = ("language", "name", "is_default", "is_forced", "is_sdh")


class PostgresAddedTracks(Statements):
    """Implements domain.companions.added_tracks.AddedTracks over a pool or one connection."""

    async def lock_video(self, video_id: UUID) -> Video | None:
        row = await self._row(
            f"SELECT {VIDEO_COLUMNS} FROM videos WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE",
            video_id,
        )
        return video_from_row(row) if row else None

    async def add(
        self, track: AddedTrack, *, request_id: str | None, fingerprint: str
    ) -> tuple[AddedTrack, bool]:
        before = await self._row(
            f"SELECT {_COLUMNS}, fingerprint FROM added_tracks WHERE video_id = $1 AND request_id = $2",
            track.video_id,
            request_id,
        )
        if before is not None:
            if before["fingerprint"] != fingerprint:
                raise RequestIdReusedError(str(request_id))
            return _track(before), False
        if track.is_default:
            await self._take_default(track.video_id)
        row = await self._row(
            f"""INSERT INTO added_tracks (video_id, id, language, name, is_default, is_forced, is_sdh, state,
              url, size_bytes, request_id, fingerprint)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING {_COLUMNS}""",
            track.video_id,
            track.id,
            track.language,
            track.name,
            track.is_default,
            track.is_forced,
            track.is_sdh,
            track.state.value,
            track.url or None,
            track.size_bytes,
            request_id,
            fingerprint,
        )
        assert row is not None  # noqa: S101 - INSERT without a conflict clause
        return _track(row), True

    async def get(self, video_id: UUID, track_id: UUID) -> AddedTrack | None:
        row = await self._row(
            f"SELECT {_COLUMNS} FROM added_tracks WHERE video_id = $1 AND id = $2", video_id, track_id
        )
        return _track(row) if row else None

    async def of_video(self, video_id: UUID) -> Sequence[AddedTrack]:
        sql = f"SELECT {_COLUMNS} FROM added_tracks WHERE video_id = $1 ORDER BY number"
        return [_track(row) for row in await self._rows(sql, video_id)]

    async def update(
        self, video_id: UUID, track_id: UUID, changes: TrackChanges
    ) -> tuple[AddedTrack, bool] | None:
        before = await self.get(video_id, track_id)
        if before is None:
            return None
        new = {name: getattr(changes, name) for name in _CHANGEABLE if name in changes.fields}
        if all(getattr(before, name) == value for name, value in new.items()):
            return before, False
        if new.get("is_default"):
            await self._take_default(video_id)
        assignments = ", ".join(f"{name} = ${number}" for number, name in enumerate(new, start=3))
        row = await self._row(
            f"UPDATE added_tracks SET {assignments} WHERE video_id = $1 AND id = $2 RETURNING {_COLUMNS}",
            video_id,
            track_id,
            *new.values(),
        )
        return (_track(row), True) if row else None

    async def delete(self, video_id: UUID, track_id: UUID, *, only: AddedState | None = None) -> bool:
        row = await self._row(
            """DELETE FROM added_tracks WHERE video_id = $1 AND id = $2 AND ($3::text IS NULL OR state = $3)
            RETURNING id""",
            video_id,
            track_id,
            only.value if only else None,
        )
        return row is not None

    async def start(self, video_id: UUID, track_id: UUID) -> bool:
        row = await self._row(
            """UPDATE added_tracks SET state = 'PREPARING'
            WHERE video_id = $1 AND id = $2 AND state = 'UPLOADING' RETURNING id""",
            video_id,
            track_id,
        )
        return row is not None

    async def begin_try(self, video_id: UUID, track_id: UUID) -> int:
        row = await self._row(
            """UPDATE added_tracks SET tries = tries + 1
            WHERE video_id = $1 AND id = $2 AND state = 'PREPARING' RETURNING tries""",
            video_id,
            track_id,
        )
        return int(row["tries"]) if row else 0

    async def note_fetched(self, video_id: UUID, track_id: UUID, *, size_bytes: int) -> None:
        await self._row(
            """UPDATE added_tracks SET url = NULL, size_bytes = $3, tries = 0
            WHERE video_id = $1 AND id = $2 AND state = 'PREPARING'""",
            video_id,
            track_id,
            size_bytes,
        )

    async def settle(self, video_id: UUID, track_id: UUID, code: TrackCode | None) -> None:
        await self._row(
            """UPDATE added_tracks SET state = $3, error_code = $4, url = NULL, tries = 0
            WHERE video_id = $1 AND id = $2 AND state IN ('PREPARING', 'READY')""",
            video_id,
            track_id,
            (AddedState.FAILED if code else AddedState.READY).value,
            code.value if code else "",
        )

    async def publish(self, video_id: UUID, publication: Publication) -> Video:
        row = await self._row(
            f"""UPDATE videos SET publication = $2
            WHERE id = $1 AND deleted_at IS NULL AND published_number IS NOT NULL
            RETURNING {VIDEO_COLUMNS}""",
            video_id,
            publication_json(publication),
        )
        if row is None:
            raise VideoNotFoundError(video_id)
        return video_from_row(row)

    async def _take_default(self, video_id: UUID) -> None:
        await self._row(
            "UPDATE added_tracks SET is_default = false WHERE video_id = $1 AND is_default", video_id
        )


def _track(row: asyncpg.Record) -> AddedTrack:
    return AddedTrack(
        video_id=row["video_id"],
        id=row["id"],
        number=row["number"],
        language=row["language"],
        name=row["name"],
        is_default=row["is_default"],
        is_forced=row["is_forced"],
        is_sdh=row["is_sdh"],
        state=AddedState(row["state"]),
        error_code=row["error_code"],
        url=row["url"] or "",
        size_bytes=row["size_bytes"],
    )
