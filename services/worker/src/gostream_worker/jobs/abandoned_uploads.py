"""Deletes videos whose upload was never finished, with their objects."""

import asyncio
from datetime import timedelta

import structlog

from gostream_shared.cache.ports import ChangeAnnouncer
from gostream_shared.domain.jobs import RemoveJob
from gostream_shared.domain.repositories import Database
from gostream_worker.metrics import ABANDONED_VIDEOS
from gostream_worker.retry import periodically

_log = structlog.stdlib.get_logger("gostream.abandoned")

#: Seconds between two runs.
_PERIOD = 600.0
#: Videos per transaction.
_BATCH = 100


class Abandoned:
    """Deletes PENDING_UPLOAD videos whose last upload URL expired `patience` ago.

    Any number of workers may run it: one collects at a time, and the others find no rows.
    """

    def __init__(self, database: Database, announcer: ChangeAnnouncer, *, patience: timedelta) -> None:
        self._database = database
        self._announcer = announcer
        self._patience = patience
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Collects periodically until `stop` is called."""
        failure, stopping = "abandoned videos not collected", self._stopping
        await periodically(self.collect, period=_PERIOD, log=_log, failure=failure, stopping=stopping)

    def stop(self) -> None:
        """Ends `run` after the current batch."""
        self._stopping.set()

    async def collect(self) -> int:
        """Deletes all abandoned videos. Returns their number. Raises BackendUnavailableError."""
        count, seen = 0, _BATCH
        while seen == _BATCH and not self._stopping.is_set():
            async with self._database.transaction() as transaction:
                seen, deleted = await transaction.uploads.delete_abandoned(
                    expired_for=self._patience, limit=_BATCH
                )
                for video_id in deleted:
                    await transaction.jobs.enqueue(RemoveJob(video_id=video_id))
            for video_id, version in deleted.items():
                await self._announcer.announce(video_id, version)
            count += len(deleted)
        if count:
            ABANDONED_VIDEOS.inc(count)
            _log.info("abandoned videos deleted", videos=count)
        return count
