"""Runs the jobs that make downloads."""

from datetime import timedelta
from uuid import UUID

import structlog

from gostream_shared.domain.errors import BackendUnavailableError, VideoNotFoundError
from gostream_shared.domain.jobs import DownloadJob
from gostream_shared.domain.repositories import Database
from gostream_shared.domain.video import Video
from gostream_shared.jobs.pgqueuer import download_job
from gostream_shared.storage.port import MultipartEndedError
from gostream_worker.chunks.dependencies import Dependencies
from gostream_worker.downloads.service import DownloadService
from gostream_worker.encode.encoder import Encoder
from gostream_worker.failures import ProcessingFailedError, WorkerFullError
from gostream_worker.jobs.consumer import JobKind, reading
from gostream_worker.jobs.disk_space import DiskSpace
from gostream_worker.jobs.verdict import DONE, Verdict
from gostream_worker.metrics import count_job
from gostream_worker.source.work_directory import WorkDirectory

_log = structlog.stdlib.get_logger("gostream.downloads")

#: Delay before a job is tried again, and for a video that was deleted and may be restored.
_PAUSE = timedelta(minutes=1)
_WHILE_DELETED = timedelta(minutes=10)
#: Tries of one worker after failures that an attempt may fix.
_TRIES = 3


class DownloadJobs:
    """Settles each job by its result: a video has its files, or an entry that says why not."""

    def __init__(self, database: Database, service: DownloadService) -> None:
        self._videos = database.videos
        self._service = service
        self._failures: dict[tuple[UUID, int], int] = {}

    async def make(self, job: DownloadJob) -> Verdict:
        """Handles one job."""
        try:
            video = await self._videos.get_restorable(job.video_id)
        except VideoNotFoundError:
            return await self._remove(job)
        except BackendUnavailableError as error:
            return _postponed(job, error)
        if video.deleted_at is not None and video.published_number == job.number:
            count_job("download", "postponed")
            return Verdict(_WHILE_DELETED)
        try:
            return await self._make(video, job)
        except (BackendUnavailableError, WorkerFullError, MultipartEndedError, OSError) as error:
            return _postponed(job, error)

    async def _remove(self, job: DownloadJob) -> Verdict:
        """Removes what a worker that died wrote after the video's objects were removed."""
        try:
            await self._service.remove(job.video_id, job.number)
        except BackendUnavailableError as error:
            return _postponed(job, error)
        return _settled("gone")

    async def _make(self, video: Video, job: DownloadJob) -> Verdict:
        key = (job.video_id, job.number)
        try:
            await self._service.make(video, job.number)
        except ProcessingFailedError as error:
            self._failures[key] = self._failures.get(key, 0) + 1
            if self._failures[key] < _TRIES:
                return _postponed(job, error)
            _log.error("downloads failed", video_id=str(job.video_id), error=str(error), log=error.log_tail)
            await self._service.fail(video, job.number)
        self._failures.pop(key, None)
        return _settled("done")


def download_kind(
    dependencies: Dependencies, encoder: Encoder, work: WorkDirectory, disk_space: DiskSpace
) -> JobKind:
    """Returns the kind of the jobs, one at a time: they use disk and network, hardly the processor."""
    database, store, announcer = dependencies.database, dependencies.store, dependencies.announcer
    jobs = DownloadJobs(database, DownloadService(database, store, announcer, encoder, work))
    return JobKind(reading(download_job, jobs.make), slots=1, has_room=lambda: disk_space.is_free)


def _settled(outcome: str) -> Verdict:
    count_job("download", outcome)
    return DONE


def _postponed(job: DownloadJob, error: Exception) -> Verdict:
    _log.warning("downloads postponed", video_id=str(job.video_id), encode=job.number, error=str(error))
    count_job("download", "postponed")
    return Verdict(_PAUSE)
