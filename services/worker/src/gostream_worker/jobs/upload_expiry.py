"""Ends upload sessions that were not completed, and removes multipart uploads without a session."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.jobs import ExpireUploadJob
from gostream_shared.domain.object_keys import SOURCES, source_key
from gostream_shared.domain.repositories import Database
from gostream_shared.domain.uploads import UploadState
from gostream_shared.storage.port import MultipartUpload, ObjectStore
from gostream_worker.jobs.verdict import DONE, Verdict
from gostream_worker.metrics import ORPHANED_UPLOADS, count_job
from gostream_worker.retry import LONGEST_PAUSE, periodically

_log = structlog.stdlib.get_logger("gostream.uploads")

#: Seconds between two comparisons, and the longest wait before the first one.
_PERIOD = 86_400.0
_FIRST = 600.0
#: Multipart uploads per query.
_BATCH = 500


class UploadExpiry:
    """Runs ExpireUploadJobs."""

    def __init__(self, database: Database, store: ObjectStore) -> None:
        self._database = database
        self._store = store

    async def expire(self, job: ExpireUploadJob) -> Verdict:
        """Handles one delivery of a job.

        The parts are removed whatever the state of the session: an API may have died after it had changed the
        state. If a backend is unavailable, the job is retried every minute without limit.
        """
        try:
            expired = await self._database.upload_sessions.end(
                job.video_id, job.generation, UploadState.EXPIRED, after=[UploadState.OPEN]
            )
            await self._store.abort_multipart(source_key(job.video_id), job.store_upload_id)
        except BackendUnavailableError as error:
            _log.warning("expiry postponed", video_id=str(job.video_id), error=str(error))
            count_job("expire-upload", "postponed")
            return Verdict(timedelta(seconds=LONGEST_PAUSE))
        count_job("expire-upload", "done")
        if expired:
            _log.info("upload expired", video_id=str(job.video_id), generation=job.generation)
        return DONE


async def keep_comparing(database: Database, store: ObjectStore, longest: timedelta) -> None:
    """Remove orphaned multipart uploads every day. Any number of workers may run it.

    `longest`: how long an upload or a fetch of a source may take.
    """
    await asyncio.sleep(random.uniform(0, _FIRST))  # noqa: S311 - spreads load
    compare = partial(remove_orphans, database, store, older_than=2 * longest)
    await periodically(compare, period=_PERIOD, log=_log, failure="multipart uploads not compared")


async def remove_orphans(database: Database, store: ObjectStore, *, older_than: timedelta) -> int:
    """Abort multipart uploads of sources that are older than this and have no open session.

    An API that died between the store and the database leaves them. Returns their number. Raises
    BackendUnavailableError.
    """
    count, before = 0, datetime.now(UTC) - older_than
    async for batch in _old_uploads(store, before):
        kept = await database.upload_sessions.open_among([upload.upload_id for upload in batch])
        for upload in batch:
            if upload.upload_id not in kept:
                await store.abort_multipart(upload.key, upload.upload_id)
                count += 1
    if count:
        ORPHANED_UPLOADS.inc(count)
        _log.info("orphaned multipart uploads removed", uploads=count)
    return count


async def _old_uploads(store: ObjectStore, before: datetime) -> AsyncIterator[list[MultipartUpload]]:
    batch: list[MultipartUpload] = []
    async for upload in store.list_multiparts(SOURCES):
        if upload.started_at < before:
            batch.append(upload)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
