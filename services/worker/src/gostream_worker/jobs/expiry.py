"""Deletes videos whose expiry time has passed."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import structlog

from gostream_shared.cache.ports import ChangeAnnouncer
from gostream_shared.config_types import PRESIGNED_LIMIT
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.jobs import ExpireJob
from gostream_shared.domain.repositories import Database, Transaction
from gostream_shared.domain.videos.deletions import removals
from gostream_worker.jobs.verdict import DONE, Verdict
from gostream_worker.metrics import EXPIRED_VIDEOS, count_job
from gostream_worker.retry import LONGEST_PAUSE, periodically

_log = structlog.stdlib.get_logger("gostream.expiry")

#: Seconds between two sweeps.
_PERIOD = 600.0
#: Videos per transaction.
_BATCH = 100


class Expiry:
    """Runs ExpireJobs, and sweeps up videos without one, for example after an UPDATE in psql.

    An expired video is deleted as by DeleteVideo. Any number of workers may run it.
    """

    def __init__(self, database: Database, announcer: ChangeAnnouncer, *, retention: timedelta) -> None:
        self._database = database
        self._announcer = announcer
        self._retention = retention
        self._stopping = asyncio.Event()

    async def expire(self, job: ExpireJob) -> Verdict:
        """Handles one delivery of a job. If a backend is unavailable, it is retried every minute."""
        try:
            async with self._database.transaction() as transaction:
                done = await transaction.deletions.expire(
                    job.video_id, job.expires_at, retention=self._retention
                )
                if isinstance(done, int):
                    await self._schedule_removals(transaction, {job.video_id: done})
        except BackendUnavailableError as error:
            _log.warning("expiry postponed", video_id=str(job.video_id), error=str(error))
            count_job("expire", "postponed")
            return Verdict(timedelta(seconds=LONGEST_PAUSE))
        if isinstance(done, timedelta):  # the clock of the API that set it is ahead
            count_job("expire", "postponed")
            return Verdict(done)
        if done is not None:
            await self._tell({job.video_id: done})
        count_job("expire", "done")
        return DONE

    async def run(self) -> None:
        """Sweeps periodically until `stop` is called."""
        failure, stopping = "expired videos not deleted", self._stopping
        await periodically(self.sweep, period=_PERIOD, log=_log, failure=failure, stopping=stopping)

    def stop(self) -> None:
        """Ends `run` after the current batch."""
        self._stopping.set()

    async def sweep(self) -> int:
        """Deletes all expired videos. Returns their number. Raises BackendUnavailableError."""
        total, count = 0, _BATCH
        while count == _BATCH and not self._stopping.is_set():
            async with self._database.transaction() as transaction:
                deleted = await transaction.deletions.delete_expired(retention=self._retention, limit=_BATCH)
                await self._schedule_removals(transaction, deleted)
            await self._tell(deleted)
            count = len(deleted)
            total += count
        return total

    async def _schedule_removals(self, transaction: Transaction, deleted: Mapping[UUID, int]) -> None:
        for video_id, version in deleted.items():
            for job, delay in removals(video_id, version, retention=self._retention, url_ttl=PRESIGNED_LIMIT):
                await transaction.jobs.enqueue(job, delay=delay)

    async def _tell(self, deleted: Mapping[UUID, int]) -> None:
        for video_id, version in deleted.items():
            EXPIRED_VIDEOS.inc()
            _log.info("expired video deleted", video_id=str(video_id), version=version)
            await self._announcer.announce(video_id, version)
