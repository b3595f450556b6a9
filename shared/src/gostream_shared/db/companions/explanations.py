"""Reads what the database knows of one video. Only operators ask, so no statement is made for speed."""

from uuid import UUID

import asyncpg

from gostream_shared.db.rows import VIDEO_COLUMNS, video_from_row
from gostream_shared.db.statements import Statements
from gostream_shared.domain.companions.explanations import (
    EncodeRecord,
    QueueRecord,
    RemoteRecord,
    TrackRecord,
    VideoRecord,
)
from gostream_shared.jobs.pgqueuer import CHUNK, FETCH, FINISH, TRANSCODE

_VIDEO = f"""SELECT {VIDEO_COLUMNS}, size_bytes, now() AS now,
  (SELECT expires_at FROM uploads WHERE video_id = $1) AS upload_url_expires_at,
  (SELECT count(*) FROM cache_outbox WHERE video_id = $1) AS unannounced,
  (SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::float
   FROM cache_outbox WHERE video_id = $1) AS unannounced_for
FROM videos WHERE id = $1"""  # noqa: S608 - constants

_ENCODE = """SELECT encodes.*, chunks, chunks_done, chunk_tries
FROM encodes, LATERAL (
  SELECT count(*) AS chunks, count(done_at) AS chunks_done, coalesce(max(tries - forgiven), 0) AS chunk_tries
  FROM encode_chunks AS each WHERE each.video_id = encodes.video_id AND each.number = encodes.number
) AS of_chunks
WHERE video_id = $1 AND number = $2"""


def _jobs_of(video: str, number: str) -> str:
    """Returns a condition on the jobs of an encode, by the keys that PgQueuerJobQueue gives them."""
    encode = f"':' || {video} || ':' || {number}"
    several = [f"dedupe_key LIKE '{kind}' || {encode} || ':%'" for kind in (TRANSCODE, CHUNK)]
    single = f"dedupe_key IN ('{FINISH}' || {encode}, '{FETCH}' || {encode})"
    return f"({' OR '.join([*several, single])})"


_QUEUE = f"""SELECT
  (SELECT count(*) FROM videos JOIN encodes ON video_id = id AND number = encode_number
   WHERE videos.status = 'PROCESSING' AND deleted_at IS NULL AND stage = 'queued' AND outcome IS NULL
     AND encodes.created_at < $3) AS ahead,
  (SELECT count(DISTINCT worker) FROM videos JOIN encodes ON video_id = id AND number = encode_number
   WHERE videos.status = 'PROCESSING' AND deleted_at IS NULL AND outcome IS NULL AND worker IS NOT NULL
     AND EXISTS (SELECT 1 FROM pgqueuer WHERE status = 'picked' AND heartbeat > now() - interval '2 minutes'
       AND {_jobs_of("videos.id", "number")})) AS workers,
  (SELECT count(*) FROM pgqueuer
   WHERE status IN ('queued', 'picked') AND {_jobs_of("$1::text", "$2::text")}) AS jobs,
  (SELECT extract(epoch FROM now() - max(heartbeat))::float FROM pgqueuer
   WHERE status = 'picked' AND {_jobs_of("$1::text", "$2::text")}) AS heartbeat_age,
  (SELECT avg(extract(epoch FROM finished_at - started_at))::float FROM (
     SELECT started_at, finished_at FROM encodes WHERE outcome = 'READY' AND started_at IS NOT NULL
     ORDER BY finished_at DESC LIMIT 20) AS last) AS seconds_each"""  # noqa: S608 - constants


class PostgresExplanations(Statements):
    """Implements domain.companions.explanations.Explanations over a pool or one connection."""

    async def record(self, video_id: UUID) -> VideoRecord | None:
        row = await self._row(_VIDEO, video_id)
        if row is None:
            return None
        video = video_from_row(row)
        encode = await self._row(_ENCODE, video_id, video.encode_number)
        remote = await self._row(
            "SELECT object_key, fetched_at FROM remote_sources WHERE video_id = $1", video_id
        )
        tracks = await self._rows(
            "SELECT id, state, error_code FROM added_tracks WHERE video_id = $1 ORDER BY created_at", video_id
        )
        return VideoRecord(
            now=row["now"],
            video=video,
            size_bytes=row["size_bytes"],
            upload_url_expires_at=row["upload_url_expires_at"],
            encode=_encode(encode, attempt=video.attempt) if encode else None,
            queue=await self._queue(encode) if encode else None,
            remote=RemoteRecord(key=remote["object_key"] or "", is_fetched=remote["fetched_at"] is not None)
            if remote
            else None,
            tracks=[TrackRecord(**dict(each)) for each in tracks],
            unannounced=row["unannounced"],
            unannounced_for=row["unannounced_for"],
        )

    async def _queue(self, encode: asyncpg.Record) -> QueueRecord | None:
        row = await self._row(_QUEUE, str(encode["video_id"]), str(encode["number"]), encode["created_at"])
        return QueueRecord(**dict(row)) if row else None


def _encode(row: asyncpg.Record, *, attempt: int) -> EncodeRecord:
    return EncodeRecord(
        number=row["number"],
        profile=row["profile"],
        worker=row["worker"] or "",
        stage=row["stage"],
        percent=row["percent"],
        attempt=attempt,
        forgiven=row["forgiven"],
        log_tail=row["log_tail"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        outage_since=row["outage_since"],
        chunks_left=row["chunks_left"],
        chunks_done=row["chunks_done"],
        chunks=row["chunks"],
        chunk_tries=row["chunk_tries"],
        waits=row["stage"] == "queued" and row["outcome"] is None,
    )
