"""The encode repository: one SQL statement per method.

Every statement checks the fence (`encode_number = $2 AND attempt = $3`). A worker that lost its fence changes
no row and gets an empty result.
"""

from datetime import timedelta
from uuid import UUID

import asyncpg

from gostream_shared.db.errors import database_errors
from gostream_shared.db.rows import (
    VIDEO_COLUMNS,
    failure_json,
    options_from,
    options_json,
    publication_json,
    video_from_row,
)
from gostream_shared.db.statements import Connection, Statements
from gostream_shared.db.videos import PostgresVideoRepository
from gostream_shared.domain.encode import Encode, Progress
from gostream_shared.domain.errors import (
    AlreadyProcessingError,
    FenceLostError,
    NotProcessingError,
    RequestIdReusedError,
)
from gostream_shared.domain.video import PREDECESSORS, Failure, Publication, Video, VideoStatus
from gostream_shared.domain.videos.loudness import LoudnessTarget
from gostream_shared.domain.videos.options import USUAL, EncodeOptions


def _sources(status: VideoStatus) -> list[str]:
    return sorted(PREDECESSORS[status])


_BEGIN = """WITH begun AS (
  UPDATE videos SET attempt = attempt + 1
  WHERE id = $1 AND encode_number = $2 AND status = 'PROCESSING' AND deleted_at IS NULL
    AND EXISTS (SELECT 1 FROM encodes WHERE video_id = $1 AND number = $2 AND chunks_left IS NULL)
  RETURNING attempt
)
UPDATE encodes SET worker = $3, started_at = now(), stage = 'starting'
FROM begun WHERE video_id = $1 AND number = $2
RETURNING begun.attempt, forgiven, profile, loudness, options,
  (SELECT coalesce(max(tries), 0) FROM encode_chunks WHERE video_id = $1 AND number = $2) AS chunk_tries"""

# As the indexes of 0017, encodes_waiting and videos_processing.
_WAITING = """SELECT FROM videos JOIN encodes ON video_id = id AND number = encode_number
  WHERE videos.status = 'PROCESSING' AND deleted_at IS NULL AND stage = 'queued' AND outcome IS NULL"""


class PostgresEncodes(Statements):
    """Implements domain.repositories.EncodeRepository over a pool or one connection."""

    def __init__(self, connection: Connection, *, timeout: float) -> None:
        super().__init__(connection, timeout=timeout)
        self._videos = PostgresVideoRepository(connection, timeout=timeout)

    async def start_encode(
        self,
        video_id: UUID,
        *,
        profile: str,
        options: EncodeOptions = USUAL,
        loudness: LoudnessTarget | None = None,
        request_id: str | None = None,
        owner: str | None = None,
    ) -> Encode | None:
        row = await self._row(
            """WITH started AS (
              UPDATE videos
              SET status = 'PROCESSING', encode_number = encode_number + 1, attempt = 0, failure = NULL
              WHERE id = $1 AND status = ANY($2) AND deleted_at IS NULL
                AND ($5::text IS NULL OR user_id = $5)
                AND NOT EXISTS (SELECT 1 FROM encodes WHERE video_id = $1 AND request_id = $4)
              RETURNING id, encode_number
            )
            INSERT INTO encodes (video_id, number, profile, request_id, loudness, options)
            SELECT id, encode_number, $3, $4, $6, $7::jsonb FROM started
            RETURNING video_id, number""",
            video_id,
            _sources(VideoStatus.PROCESSING),
            profile,
            request_id,
            owner,
            loudness,
            options_json(options),
        )
        if row is not None:
            return Encode(
                video_id=video_id,
                number=row["number"],
                attempt=0,
                profile=profile,
                loudness=loudness,
                options=options,
            )
        video = await self._videos.get(video_id, owner=owner)
        await self._require_started(video, (profile, loudness, options), request_id=request_id)
        return None

    async def _require_started(
        self,
        video: Video,
        wanted: tuple[str, LoudnessTarget | None, EncodeOptions],
        *,
        request_id: str | None,
    ) -> None:
        running = await self._row(
            """SELECT profile, loudness, options,
              request_id IS NOT DISTINCT FROM $3 AND $3 IS NOT NULL AS repeated
            FROM encodes WHERE video_id = $1 AND (number = $2 OR request_id = $3)
            ORDER BY repeated DESC LIMIT 1""",
            video.id,
            video.encode_number,
            request_id,
        )
        asked = running and (running["profile"], running["loudness"], options_from(running["options"]))
        if asked == wanted:
            return
        if running is not None and running["repeated"]:
            raise RequestIdReusedError(str(request_id))
        raise AlreadyProcessingError(video.id)

    async def count_waiting(self, *, at_most: int, owner: str | None = None) -> int:
        # Two statements, because a condition on an optional owner would need a scan of all owners' encodes.
        counted = f"SELECT count(*) AS waiting FROM ({_WAITING}{{}} LIMIT $1) AS found"
        if owner is None:
            row = await self._row(counted.format(""), at_most)
        else:
            row = await self._row(counted.format(" AND user_id = $2"), at_most, owner)
        return int(row["waiting"]) if row else 0

    async def begin_attempt(self, video_id: UUID, number: int, *, worker: str) -> Encode:
        async with (
            database_errors(self._timeout),
            self._one_connection() as connection,
            connection.transaction(),
        ):
            # Only after the lock does a statement see the chunks that a concurrent attempt has committed.
            await connection.execute("SELECT 1 FROM videos WHERE id = $1 FOR UPDATE", video_id)
            row = await connection.fetchrow(_BEGIN, video_id, number, worker)
        if row is None:
            raise FenceLostError(video_id, number, 0)
        return Encode(
            video_id=video_id,
            number=number,
            attempt=row["attempt"],
            forgiven=row["forgiven"],
            profile=row["profile"],
            options=options_from(row["options"]),
            chunk_tries=row["chunk_tries"],
            loudness=LoudnessTarget(row["loudness"]) if row["loudness"] else None,
        )

    async def forgive_attempt(self, encode: Encode) -> None:
        await self._note_end(encode, "forgiven = forgiven + 1")

    async def note_outage(self, encode: Encode, *, forgiven: bool) -> timedelta:
        row = await self._note_end(
            encode,
            "forgiven = forgiven + 1, outage_since = coalesce(outage_since, now())"
            if forgiven
            else "outage_since = now()",
        )
        lasted: timedelta = row["outage"]
        return lasted

    async def _note_end(self, encode: Encode, assignments: str) -> asyncpg.Record:
        row = await self._row(
            f"""UPDATE encodes SET {assignments} FROM videos
            WHERE encodes.video_id = $1 AND number = $2 AND id = $1 AND encode_number = $2 AND attempt = $3
              AND videos.status = 'PROCESSING' AND deleted_at IS NULL
            RETURNING now() - outage_since AS outage""",
            *_fence(encode),
        )
        if row is None:
            raise _fence_lost(encode)
        return row

    async def report_progress(self, encode: Encode, progress: Progress) -> None:
        row = await self._row(
            """UPDATE encodes SET stage = $4, percent = greatest(percent, $5) FROM videos
            WHERE encodes.video_id = $1 AND number = $2 AND id = $1 AND encode_number = $2 AND attempt = $3
              AND videos.status = 'PROCESSING' AND deleted_at IS NULL
            RETURNING number""",
            *_fence(encode),
            progress.stage,
            progress.percent,
        )
        if row is None:
            raise _fence_lost(encode)

    async def progress(self, video_id: UUID, number: int) -> Progress | None:
        row = await self._row(
            "SELECT stage, percent FROM encodes WHERE video_id = $1 AND number = $2", video_id, number
        )
        return Progress(stage=row["stage"], percent=row["percent"]) if row else None

    async def mark_video_playable(self, encode: Encode) -> Video:
        row = await self._row(
            f"""WITH marked AS (
              UPDATE videos SET playable_number = encode_number
              WHERE id = $1 AND encode_number = $2 AND attempt = $3 AND status = 'PROCESSING'
                AND deleted_at IS NULL AND playable_number IS DISTINCT FROM encode_number
              RETURNING {VIDEO_COLUMNS}
            )
            SELECT * FROM marked
            UNION ALL
            SELECT {VIDEO_COLUMNS} FROM videos
            WHERE id = $1 AND encode_number = $2 AND attempt = $3 AND status = 'PROCESSING'
              AND deleted_at IS NULL AND playable_number = encode_number""",
            *_fence(encode),
        )
        if row is None:
            raise _fence_lost(encode)
        return video_from_row(row)

    async def lock_for_publish(self, encode: Encode) -> None:
        row = await self._row(
            """SELECT 1 FROM videos WHERE id = $1 AND encode_number = $2 AND attempt = $3
              AND status = 'PROCESSING' AND deleted_at IS NULL FOR UPDATE""",
            *_fence(encode),
        )
        if row is None:
            raise _fence_lost(encode)

    async def mark_video_ready(self, encode: Encode, publication: Publication) -> Video:
        return await self._finish(
            encode,
            "READY",
            "published_number = encode_number, publication = $4, ready_at = now()",
            publication_json(publication),
        )

    async def mark_video_failed(self, encode: Encode, failure: Failure, *, log_tail: str = "") -> Video:
        return await self._finish(encode, "FAILED", "failure = $4", failure_json(failure), log_tail=log_tail)

    async def _finish(
        self, encode: Encode, outcome: str, assignments: str, argument: str, *, log_tail: str = ""
    ) -> Video:
        row = await self._row(
            f"""WITH finished AS (
              UPDATE videos SET status = $5, {assignments}
              WHERE id = $1 AND encode_number = $2 AND attempt = $3
                AND status = ANY($6) AND deleted_at IS NULL
              RETURNING {VIDEO_COLUMNS}
            ), history AS (
              UPDATE encodes SET outcome = $5, finished_at = now(), log_tail = $7
              FROM finished WHERE video_id = $1 AND number = $2
            )
            SELECT * FROM finished""",
            *_fence(encode),
            argument,
            outcome,
            _sources(VideoStatus(outcome)),
            log_tail,
        )
        if row is None:
            raise _fence_lost(encode)
        return video_from_row(row)

    async def cancel(self, video_id: UUID, *, owner: str | None = None) -> Video:
        row = await self._row(
            f"""WITH cancelled AS (
              UPDATE videos SET status = 'CANCELLED'
              WHERE id = $1 AND status = ANY($2) AND deleted_at IS NULL
                AND ($3::text IS NULL OR user_id = $3)
              RETURNING {VIDEO_COLUMNS}
            ), history AS (
              UPDATE encodes SET outcome = 'CANCELLED', finished_at = now()
              FROM cancelled WHERE video_id = $1 AND number = cancelled.encode_number
            )
            SELECT * FROM cancelled""",
            video_id,
            _sources(VideoStatus.CANCELLED),
            owner,
        )
        if row is not None:
            return video_from_row(row)
        await self._videos.get(video_id, owner=owner)
        raise NotProcessingError(video_id)


def _fence(encode: Encode) -> tuple[UUID, int, int]:
    return encode.video_id, encode.number, encode.attempt


def _fence_lost(encode: Encode) -> FenceLostError:
    return FenceLostError(*_fence(encode))
