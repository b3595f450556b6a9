"""Fetches the files of added tracks from their URLs, as sources are fetched. Every step can be repeated."""

import asyncio
from datetime import timedelta

import structlog

from gostream_shared.domain.companions.added_tracks import MOST_BYTES, AddedState, AddedTrack
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.jobs import FetchTrackJob, PublishTracksJob
from gostream_shared.domain.object_keys import track_key
from gostream_shared.domain.repositories import Database
from gostream_shared.domain.tracks import TrackCode
from gostream_shared.egress.guard import EgressGuard
from gostream_shared.storage.port import ObjectStore
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.ingest.faults import CannotResumeError
from gostream_worker.ingest.http_source import open_session
from gostream_worker.ingest.transfer import Transfer
from gostream_worker.jobs.verdict import DONE, Verdict
from gostream_worker.metrics import FETCHED_BYTES, count_job
from gostream_worker.retry import backoff

_log = structlog.stdlib.get_logger("gostream.captions")

#: Seconds for one file, times that it is read from its beginning, and deliveries that may begin.
_TIMEOUT = 120.0
_PASSES = 3
_MAX_TRIES = 5
_CONTENT_TYPE = "application/octet-stream"
_CODES = {
    Code.TOO_LARGE: TrackCode.SUBTITLES_TOO_LARGE,
    Code.SOURCE_URL_REFUSED: TrackCode.SOURCE_URL_REFUSED,
}


class TrackFetcher:
    """Runs FetchTrackJobs."""

    def __init__(
        self, database: Database, store: ObjectStore, guard: EgressGuard, *, timeout: float = _TIMEOUT
    ) -> None:
        self._database = database
        self._store = store
        self._guard = guard
        self._timeout = timeout

    async def fetch(self, job: FetchTrackJob) -> Verdict:
        """Handles one delivery of a job. Cancellation releases the job."""
        with structlog.contextvars.bound_contextvars(video_id=str(job.video_id), track=str(job.track_id)):
            try:
                await self._fetch(job)
            except BackendUnavailableError as error:
                _log.warning("track not fetched yet", error=str(error))
                count_job("fetch-track", "outage")
                return Verdict(timedelta(seconds=backoff(0)))
        count_job("fetch-track", "done")
        return DONE

    async def _fetch(self, job: FetchTrackJob) -> None:
        track = await self._database.added_tracks.get(job.video_id, job.track_id)
        if track is None or not track.url or track.state is not AddedState.PREPARING:
            return
        code: TrackCode | None = TrackCode.SOURCE_UNREACHABLE
        if await self._database.added_tracks.begin_try(job.video_id, job.track_id) <= _MAX_TRIES:
            try:
                async with asyncio.timeout(self._timeout):
                    data = await self._read(track)
                code = None
            except TimeoutError:
                _log.warning("track not fetched", error="deadline")
            except ProcessingFailedError as error:
                _log.warning("track not fetched", code=error.code, detail=error.detail)
                code = _CODES.get(error.code, TrackCode.SOURCE_UNREACHABLE)
        if code is None:
            await self._store.put(track_key(track.video_id, track.id), data, content_type=_CONTENT_TYPE)
        async with self._database.transaction() as transaction:
            if code is not None:
                await transaction.added_tracks.settle(track.video_id, track.id, code)
            else:
                await transaction.added_tracks.note_fetched(track.video_id, track.id, size_bytes=len(data))
                await transaction.usages.note_stored(track.video_id, track.stored_as, len(data))
            publish = PublishTracksJob(video_id=track.video_id, change=f"fetched-{track.id}")
            await transaction.jobs.enqueue(publish)

    async def _read(self, track: AddedTrack) -> bytes:
        """Raises ProcessingFailedError."""
        async with open_session(self._guard) as session:
            for _ in range(_PASSES):
                data = bytearray()
                try:
                    async for chunk in Transfer(session, self._guard, track.url, MOST_BYTES).read():
                        data += chunk
                        FETCHED_BYTES.inc(len(chunk))
                except CannotResumeError:
                    continue
                return bytes(data)
        raise ProcessingFailedError(Code.SOURCE_UNREACHABLE, "the file changes while it is read")
