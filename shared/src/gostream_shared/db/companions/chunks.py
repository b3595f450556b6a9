"""The chunks of encodes. Rows are locked in the order video, encode, chunk, as a cancellation does."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import asyncpg

from gostream_shared.db.errors import database_errors
from gostream_shared.db.rows import options_from
from gostream_shared.db.statements import Statements
from gostream_shared.domain.companions.chunks import ChunkResult, ChunkTry, DoneChunk, NewChunk
from gostream_shared.domain.encode import ENCODING_PERCENT, Encode, Progress
from gostream_shared.domain.errors import FenceLostError
from gostream_shared.domain.videos.loudness import LoudnessTarget

#: The video and the encode of $1 and $2 while its chunks are at work.
_AT_WORK = """v.id = $1 AND v.encode_number = $2 AND v.status = 'PROCESSING' AND v.deleted_at IS NULL
  AND e.video_id = $1 AND e.number = $2 AND e.chunks_left > 0"""
#: Locks the encode first: see above.
_FILM = f"film AS (SELECT 1 FROM videos AS v, encodes AS e WHERE {_AT_WORK} FOR NO KEY UPDATE OF e)"
#: The running try of $3 and $4.
_RUNNING = "c.video_id = $1 AND c.number = $2 AND c.chunk = $3 AND c.tries = $4 AND c.done_at IS NULL"


class PostgresChunks(Statements):
    """Implements domain.companions.chunks.Chunks over a pool or one connection."""

    async def add(self, encode: Encode, plan: str, chunks: Sequence[NewChunk]) -> None:
        identity = encode.video_id, encode.number
        async with database_errors(self._timeout), self._one_connection() as connection:
            await connection.executemany(
                """INSERT INTO encode_chunks (video_id, number, chunk, kind, start_frame, frames, seconds)
                VALUES ($1, $2, $3, $4, $5, $6, $7)""",
                [(*identity, c.chunk, c.kind, c.start_frame, c.frames, c.seconds) for c in chunks],
            )
            await connection.execute(
                """UPDATE encodes SET plan = $3, chunks_left = $4, stage = 'encoding'
                WHERE video_id = $1 AND number = $2""",
                *identity,
                plan,
                len(chunks),
            )

    async def release(self, video_id: UUID, number: int, *, at_most: int) -> list[int]:
        rows = await self._rows(
            """WITH next AS MATERIALIZED (
              SELECT chunk FROM encode_chunks WHERE video_id = $1 AND number = $2 AND NOT is_released
              ORDER BY chunk LIMIT $3 FOR UPDATE SKIP LOCKED
            )
            UPDATE encode_chunks AS c SET is_released = true FROM next
            WHERE video_id = $1 AND number = $2 AND c.chunk = next.chunk RETURNING c.chunk""",
            video_id,
            number,
            at_most,
        )
        return sorted(row["chunk"] for row in rows)

    async def begin(self, video_id: UUID, number: int, chunk: int, *, worker: str) -> ChunkTry:
        row = await self._row(
            f"""UPDATE encode_chunks AS c SET tries = tries + 1, worker = $4, position = 0, speed = NULL
            FROM videos AS v, encodes AS e
            WHERE {_AT_WORK} AND c.video_id = $1 AND c.number = $2 AND c.chunk = $3 AND c.done_at IS NULL
            RETURNING c.kind, c.start_frame, c.frames, c.tries, c.forgiven, v.attempt, e.profile,
              e.loudness, e.options, e.plan""",
            video_id,
            number,
            chunk,
            worker,
        )
        if row is None:
            raise FenceLostError(video_id, number, 0)
        return ChunkTry(
            encode=_encode(video_id, number, row),
            chunk=chunk,
            kind=row["kind"],
            start_frame=row["start_frame"],
            frames=row["frames"],
            tries=row["tries"],
            forgiven=row["forgiven"],
            plan=row["plan"],
        )

    async def forgive(self, running: ChunkTry) -> None:
        await self._of_running(
            running,
            f"""WITH {_FILM}
            UPDATE encode_chunks AS c SET forgiven = forgiven + 1 FROM film WHERE {_RUNNING} RETURNING 1""",
        )

    async def note_outage(self, running: ChunkTry) -> timedelta:
        row = await self._of_running(
            running,
            f"""WITH {_FILM}, forgiven AS (
              UPDATE encode_chunks AS c SET forgiven = forgiven + 1 FROM film WHERE {_RUNNING} RETURNING 1
            )
            UPDATE encodes SET outage_since = coalesce(outage_since, now()) FROM forgiven
            WHERE video_id = $1 AND number = $2 RETURNING now() - outage_since AS outage""",
        )
        lasted: timedelta = row["outage"]
        return lasted

    async def report(
        self, running: ChunkTry, *, position: float, speed: float | None, listed: str | None = None
    ) -> Progress:
        row = await self._of_running(
            running,
            f"""WITH {_FILM}, reported AS (
              UPDATE encode_chunks AS c
              SET position = $5::float8, speed = $6::float8, listed = coalesce($7::jsonb, listed)
              FROM film WHERE {_RUNNING} RETURNING 1
            ), total AS (
              SELECT sum(seconds) AS seconds, sum(CASE
                  WHEN done_at IS NOT NULL THEN seconds
                  WHEN chunk = $3 THEN least(seconds, $5)
                  ELSE least(seconds, position) END) AS encoded,
                sum(CASE WHEN chunk = $3 THEN $6 ELSE speed END)
                  FILTER (WHERE done_at IS NULL AND seconds > 0) AS speed
              FROM encode_chunks WHERE video_id = $1 AND number = $2
            )
            UPDATE encodes AS e
            SET percent = greatest(percent, $8::float8 + ($9::float8 - $8) * encoded / nullif(seconds, 0))
            FROM reported, total WHERE video_id = $1 AND number = $2
            RETURNING percent, speed, greatest(0, seconds - encoded) / nullif(speed, 0) AS eta""",
            position,
            speed,
            listed,
            *ENCODING_PERCENT,
        )
        eta = None if row["eta"] is None else timedelta(seconds=row["eta"])
        return Progress(stage="encoding", percent=row["percent"], speed=row["speed"], eta=eta)

    async def end(self, running: ChunkTry, result: ChunkResult) -> int:
        identity = running.encode.video_id, running.encode.number
        await self._row("SELECT 1 FROM videos WHERE id = $1 FOR UPDATE", identity[0])
        row = await self._of_running(
            running,
            f"""WITH {_FILM}, done AS (
              UPDATE encode_chunks AS c
              SET done_at = now(), position = 0, speed = NULL, segments = $5, listed = $6
              FROM film WHERE {_RUNNING} RETURNING 1
            )
            UPDATE encodes SET chunks_left = chunks_left - 1, outage_since = NULL FROM done
            WHERE video_id = $1 AND number = $2 RETURNING chunks_left""",
            result.segments,
            result.listed,
        )
        async with database_errors(self._timeout), self._one_connection() as connection:
            await connection.executemany(
                "INSERT INTO encode_chunk_files (video_id, number, chunk, name, data)"
                " VALUES ($1, $2, $3, $4, $5)",
                [(*identity, running.chunk, name, data) for name, data in result.files.items()],
            )
        return int(row["chunks_left"])

    async def begin_finish(self, video_id: UUID, number: int, *, worker: str) -> Encode:
        await self._row("SELECT 1 FROM videos WHERE id = $1 FOR UPDATE", video_id)
        # The second statement sees what the first one waited for.
        row = await self._row(
            """WITH film AS (
              SELECT v.attempt, e.chunks_left FROM videos AS v, encodes AS e
              WHERE v.id = $1 AND v.encode_number = $2 AND v.status = 'PROCESSING' AND v.deleted_at IS NULL
                AND e.video_id = $1 AND e.number = $2 AND e.chunks_left <= 0
            ), again AS (
              UPDATE videos SET attempt = videos.attempt + 1 FROM film WHERE id = $1 AND chunks_left < 0
              RETURNING videos.attempt
            )
            UPDATE encodes SET chunks_left = -1, worker = $3 FROM film
            WHERE video_id = $1 AND number = $2
            RETURNING coalesce((SELECT attempt FROM again), film.attempt) AS attempt,
              forgiven, profile, loudness, options""",
            video_id,
            number,
            worker,
        )
        if row is None:
            raise FenceLostError(video_id, number, 0)
        return replace(_encode(video_id, number, row), forgiven=row["forgiven"])

    async def plan_of(self, video_id: UUID, number: int) -> str | None:
        row = await self._row(
            "SELECT plan FROM encodes WHERE video_id = $1 AND number = $2", video_id, number
        )
        return row["plan"] if row else None

    async def done(self, video_id: UUID, number: int) -> list[DoneChunk]:
        rows = await self._rows(
            """SELECT chunk, tries, segments, f.name, f.data
            FROM encode_chunks LEFT JOIN encode_chunk_files AS f USING (video_id, number, chunk)
            WHERE video_id = $1 AND number = $2 AND done_at IS NOT NULL ORDER BY chunk""",
            video_id,
            number,
        )
        files: dict[int, dict[str, bytes]] = {}
        for row in rows:
            found = files.setdefault(row["chunk"], {})
            if row["name"] is not None:
                found[row["name"]] = row["data"]
        first = {row["chunk"]: row for row in reversed(rows)}
        return [
            DoneChunk(chunk=chunk, tries=row["tries"], segments=row["segments"], files=files[row["chunk"]])
            for chunk, row in sorted(first.items())
        ]

    async def listed(self, video_id: UUID, number: int) -> list[tuple[str, bool, str | None]]:
        rows = await self._rows(
            """SELECT kind, done_at IS NOT NULL AS is_done, listed FROM encode_chunks
            WHERE video_id = $1 AND number = $2 ORDER BY chunk""",
            video_id,
            number,
        )
        return [(row["kind"], row["is_done"], row["listed"]) for row in rows]

    async def may_list(self, encode: Encode, *, pause: float) -> bool:
        row = await self._row(
            """UPDATE encodes SET listed_at = clock_timestamp()
            WHERE video_id = $1 AND number = $2
              AND (listed_at IS NULL OR listed_at <= clock_timestamp() - make_interval(secs => $3))
            RETURNING 1""",
            encode.video_id,
            encode.number,
            pause,
        )
        return row is not None

    async def plan_anew(self, encode: Encode) -> None:
        identity = encode.video_id, encode.number, encode.attempt
        await self._row("SELECT 1 FROM videos WHERE id = $1 FOR UPDATE", encode.video_id)
        row = await self._row(
            """UPDATE encodes AS e SET plan = NULL, chunks_left = NULL, listed_at = NULL FROM videos AS v
            WHERE e.video_id = $1 AND number = $2 AND chunks_left IS NOT NULL AND v.id = $1
              AND encode_number = $2 AND attempt = $3 AND v.status = 'PROCESSING' AND deleted_at IS NULL
            RETURNING 1""",
            *identity,
        )
        if row is None:
            raise FenceLostError(*identity)

    async def _of_running(self, running: ChunkTry, sql: str, *arguments: object) -> asyncpg.Record:
        """Returns the row of a statement about a running try. Raises FenceLostError without one."""
        encode = running.encode
        row = await self._row(sql, encode.video_id, encode.number, running.chunk, running.tries, *arguments)
        if row is None:
            raise FenceLostError(encode.video_id, encode.number, encode.attempt)
        return row


def _encode(video_id: UUID, number: int, row: asyncpg.Record) -> Encode:
    return Encode(
        video_id=video_id,
        number=number,
        attempt=row["attempt"],
        profile=row["profile"],
        options=options_from(row["options"]),
        loudness=LoudnessTarget(row["loudness"]) if row["loudness"] else None,
    )
