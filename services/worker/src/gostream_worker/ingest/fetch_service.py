"""From the URL of a source to an object in the store, and on to the encode. Every step can be repeated."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import structlog

from gostream_shared.cache.ports import ProgressPublisher
from gostream_shared.config_types import format_duration
from gostream_shared.domain.encode import Encode, Progress
from gostream_shared.domain.errors import (
    BackendUnavailableError,
    FenceLostError,
    GoStreamError,
    VideoNotFoundError,
)
from gostream_shared.domain.jobs import TranscodeJob
from gostream_shared.domain.object_keys import source_key
from gostream_shared.domain.quotas import SOURCE
from gostream_shared.domain.repositories import Database
from gostream_shared.domain.video import VideoStatus
from gostream_shared.egress.guard import EgressGuard
from gostream_shared.storage.port import MultipartEndedError, ObjectNotFoundError, ObjectStore
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.ingest.faults import CannotResumeError, unreachable
from gostream_worker.ingest.http_source import open_session
from gostream_worker.ingest.object_writer import writing
from gostream_worker.ingest.transfer import Transfer
from gostream_worker.metrics import FETCHED_BYTES
from gostream_worker.progress import STAGES, ProgressReporter
from gostream_worker.retry import patiently

_log = structlog.stdlib.get_logger("gostream.ingest")

_Result = TypeVar("_Result")
STAGE = "fetching"
#: The progress from the last byte to the beginning of the encode.
_FETCHED = Progress(stage="queued", percent=STAGES[STAGE][1])
#: Times that a source is read from its beginning.
_PASSES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSettings:
    """The limits of this deployment. `step_patience`: seconds that a step waits for a backend."""

    max_bytes: int
    timeout: timedelta
    step_patience: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The stored source. `sha256` is None if an earlier attempt stored it."""

    size: int
    sha256: bytes | None


class FetchService:
    """Runs one attempt to fetch the source of an encode."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        publisher: ProgressPublisher,
        guard: EgressGuard,
        settings: FetchSettings,
    ) -> None:
        self._database = database
        self._store = store
        self._publisher = publisher
        self._guard = guard
        self._settings = settings

    async def begin(self, video_id: UUID, number: int, *, worker: str) -> Encode:
        """Begins an attempt. Raises FenceLostError, also if the source was fetched before.

        After that, an attempt that encodes has the fence and keeps it.
        """
        try:
            async with self._database.transaction() as transaction:
                if await transaction.remote_sources.lock_unfetched(video_id):
                    return await transaction.encodes.begin_attempt(video_id, number, worker=worker)
        except FenceLostError:
            await self._remove_parts_of_the_dead(video_id)
            raise
        raise FenceLostError(video_id, number, 0)

    async def run(self, encode: Encode) -> None:
        """Stores the source and enqueues its encode.

        Raises ProcessingFailedError, FenceLostError, and BackendUnavailableError. Unless it succeeds, it
        leaves nothing in the store.
        """
        reporter = ProgressReporter(encode, self._database.encodes, self._publisher)
        try:
            async with reporter.reporting():
                fetched = await self._find(encode) or await self._fetch_in_time(encode, reporter)
        except ProcessingFailedError as error:
            error.stage = STAGE
            raise
        except GoStreamError:
            raise
        except Exception as error:
            failed = ProcessingFailedError(Code.INTERNAL, f"{type(error).__name__}: {error}")
            failed.stage = STAGE
            raise failed from error
        await self._hand_over(encode, fetched)

    async def _find(self, encode: Encode) -> Fetched | None:
        """Returns the source that an earlier attempt stored before it ended."""
        try:
            found = await self._patiently(partial(self._store.head, source_key(encode.video_id)))
        except ObjectNotFoundError:
            return None
        return Fetched(size=found.size, sha256=None)

    async def _fetch_in_time(self, encode: Encode, reporter: ProgressReporter) -> Fetched:
        remote = await self._database.remote_sources.get(encode.video_id)
        if remote is None or not remote.url:  # deleted in the meantime
            raise FenceLostError(encode.video_id, encode.number, encode.attempt)
        _log.info("fetching", host=urlsplit(remote.url).hostname)
        limit = self._settings.timeout
        try:
            async with asyncio.timeout(limit.total_seconds()), open_session(self._guard) as session:
                return await self._fetch(session, encode, remote.url, reporter)
        except TimeoutError:
            raise unreachable(
                f"The source could not be fetched within {format_duration(limit)}.",
                "deadline",
                helps_later=True,
            ) from None

    async def _fetch(
        self, session: aiohttp.ClientSession, encode: Encode, url: str, reporter: ProgressReporter
    ) -> Fetched:
        """Reads the source from its beginning, again if the server cannot continue."""
        for _ in range(_PASSES):
            transfer = Transfer(
                session, self._guard, url, self._settings.max_bytes, on_progress=partial(reporter.note, STAGE)
            )
            try:
                return await self._store_all(encode.video_id, transfer)
            except (CannotResumeError, MultipartEndedError) as error:
                _log.warning("fetching anew", cause=type(error).__name__, position=transfer.position)
        raise unreachable(
            "The connection to the source's server broke, and the server cannot continue a transfer.",
            "no resumption",
            helps_later=True,
        )

    async def _store_all(self, video_id: UUID, transfer: Transfer) -> Fetched:
        key = source_key(video_id)
        # Attempts that were killed could not remove their parts. This one has the fence.
        await self._patiently(partial(self._store.abort_multipart_uploads, key))
        async with (
            writing(self._store, key, patience=self._settings.step_patience) as writer,
            aclosing(transfer.read()) as chunks,
        ):
            async for chunk in chunks:
                if not chunk:
                    writer.expect(transfer.size or self._settings.max_bytes)
                await writer.write(chunk)
                FETCHED_BYTES.inc(len(chunk))
            if not transfer.position:
                raise ProcessingFailedError(Code.SOURCE_EMPTY, sentence="The source is empty.")
            stored = await writer.finish()
        if stored.size != transfer.position:
            raise ProcessingFailedError(
                Code.INTERNAL, f"{stored.size} of {transfer.position} bytes are stored"
            )
        _log.info("fetched", size=stored.size)
        return Fetched(size=stored.size, sha256=writer.sha256)

    async def _hand_over(self, encode: Encode, fetched: Fetched) -> None:
        """Enqueues the encode. In one transaction under the row lock, so that it happens once."""
        async with self._database.transaction() as transaction:
            await transaction.encodes.lock_for_publish(encode)
            await transaction.remote_sources.note_fetched(
                encode.video_id, size_bytes=fetched.size, sha256=fetched.sha256
            )
            await transaction.encodes.forgive_attempt(encode)
            await transaction.encodes.report_progress(encode, _FETCHED)
            video = await transaction.videos.get(encode.video_id)
            await transaction.usages.note_stored(video.id, SOURCE, fetched.size)
            turn = await transaction.usages.next_turn(video.user_id)
            job = TranscodeJob(video_id=encode.video_id, number=encode.number)
            await transaction.jobs.enqueue(job, turn=turn)
        await self._publisher.publish(encode, _FETCHED)

    async def _remove_parts_of_the_dead(self, video_id: UUID) -> None:
        """Removes the parts of a killed attempt of a video that no one fetches any more. Best effort.

        The objects of deleted videos have removals of their own.
        """
        try:
            video = await self._database.videos.get(video_id)
            if video.status is not VideoStatus.PROCESSING:
                await self._store.abort_multipart_uploads(source_key(video_id))
        except VideoNotFoundError:
            return
        except BackendUnavailableError as error:
            _log.warning("parts not removed", video_id=str(video_id), error=str(error))

    async def _patiently(self, call: Callable[[], Awaitable[_Result]]) -> _Result:
        return await patiently(call, patience=self._settings.step_patience)
