"""Runs attempts: counts each one before it starts, and settles the job by its result."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Protocol
from uuid import UUID

import structlog
from prometheus_client import Gauge, Histogram

from gostream_shared.cache.ports import ChangeAnnouncer
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.errors import BackendUnavailableError, FenceLostError
from gostream_shared.domain.jobs import FetchJob, FinishJob, TranscodeJob
from gostream_shared.domain.repositories import Database
from gostream_shared.observability.tracing import spans
from gostream_worker.failures import Code, FailureClass, ProcessingFailedError, WorkerFullError
from gostream_worker.jobs.settling.endings import Endings
from gostream_worker.jobs.verdict import Verdict
from gostream_worker.metrics import (
    ATTEMPTS,
    ENCODE_SECONDS,
    FETCH_SECONDS,
    FETCHING,
    FINISH_SECONDS,
    FINISHING,
    IN_FLIGHT,
    count_failure,
    count_job,
)
from gostream_worker.retry import backoff

_log = structlog.stdlib.get_logger("gostream.attempts")

#: Maximum number of counted attempts. It also stops a file that kills workers.
MAX_TRIES = FailureClass.INTERNAL.value
#: An attempt interrupted after this many seconds counts as a try.
GOOD_WORK = 300.0
#: Delay before a retry after an INTERNAL failure.
_PAUSE = timedelta(seconds=5)
#: Seconds to record that a cancelled attempt does not count.
_FORGIVE_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class AttemptKind:
    """The names of a kind of attempt, in metrics and logs."""

    job: str
    done: str
    seconds: Histogram
    in_flight: Gauge


ENCODING = AttemptKind("transcode", "ready", ENCODE_SECONDS, IN_FLIGHT)
FINISHES = AttemptKind("finish", "ready", FINISH_SECONDS, FINISHING)
FETCHES = AttemptKind("fetch", "fetched", FETCH_SECONDS, FETCHING)


class Begin(Protocol):
    """Begins an attempt. Raises FenceLostError and BackendUnavailableError."""

    async def __call__(self, video_id: UUID, number: int, *, worker: str) -> Encode: ...


class Attempts:
    """Runs the pipeline for jobs and decides what its failures mean."""

    def __init__(
        self,
        database: Database,
        pipeline: Callable[[Encode], Awaitable[object]],
        announcer: ChangeAnnouncer,
        end_early: Callable[[UUID, int], Awaitable[None]],
        *,
        worker: str,
        outage_patience: timedelta,
        found_full: Callable[[], None] = lambda: None,
        begin: Begin | None = None,
        kind: AttemptKind = ENCODING,
        plan_anew: Callable[[Encode], Awaitable[None]] | None = None,
    ) -> None:
        """`plan_anew` follows a failure that another plan may avoid; without it, the attempt is repeated."""
        self._database = database
        self._pipeline = pipeline
        self._endings = Endings(database, announcer, end_early)
        self._plan_anew = plan_anew
        self._worker = worker
        self._outage_patience = outage_patience
        self._found_full = found_full
        self._begin = begin or database.encodes.begin_attempt
        self._kind = kind

    async def transcode(self, job: TranscodeJob | FetchJob | FinishJob) -> Verdict:
        """Handles one delivery of a job. Cancellation releases the job, and the attempt does not count."""
        try:
            encode = await self._begin(job.video_id, job.number, worker=self._worker)
        except FenceLostError:
            return await self._lost(job.video_id, job.number)
        except BackendUnavailableError:
            return self._outcome("outage", timedelta(seconds=backoff(0)))
        with _at_work(encode, self._kind):
            return await self._settle(encode)

    async def _settle(self, encode: Encode) -> Verdict:
        began = monotonic()
        if encode.tries > MAX_TRIES:
            poison = ProcessingFailedError(Code.INTERNAL, f"{MAX_TRIES} attempts ended their worker")
            return await self._failed(encode, poison, began=began)
        try:
            video = await self._pipeline(encode)
        except FenceLostError:
            return await self._lost(encode.video_id, encode.number)
        except ProcessingFailedError as error:
            return await self._failed(encode, error, began=began)
        except (BackendUnavailableError, WorkerFullError) as error:
            return await self._interrupted(encode, error, began=began)
        except asyncio.CancelledError:
            _log.info("job released")
            await asyncio.shield(self._forgive_on_stop(encode))
            count_job(self._kind.job, "given back")
            raise
        if video is None and self._kind is ENCODING:
            _log.info("planned in chunks", seconds=round(monotonic() - began, 2))
            return self._outcome("planned")
        self._kind.seconds.observe(monotonic() - began)
        _log.info(self._kind.done, seconds=round(monotonic() - began, 2))
        return self._outcome(self._kind.done)

    async def _failed(self, encode: Encode, error: ProcessingFailedError, *, began: float) -> Verdict:
        count_failure(error.code)
        final = encode.tries >= error.failure_class.value
        _log.warning("attempt failed", code=error.code, detail=error.detail, stage=error.stage, final=final)
        if not final and self._plan_anew is None:
            return self._outcome("retried", _PAUSE)
        try:
            if not final and self._plan_anew is not None:
                await self._plan_anew(encode)
                return self._outcome("planned anew")
            return await self._mark_failed(encode, error)
        except FenceLostError:
            return await self._lost(encode.video_id, encode.number)
        except BackendUnavailableError as unavailable:
            return await self._interrupted(encode, unavailable, began=began)

    async def _mark_failed(self, encode: Encode, error: ProcessingFailedError) -> Verdict:
        """Marks the video FAILED. Raises BackendUnavailableError."""
        try:
            await self._endings.mark_failed(encode, error)
        except FenceLostError:
            return await self._lost(encode.video_id, encode.number)
        return self._outcome("failed")

    async def _interrupted(
        self, encode: Encode, error: BackendUnavailableError | WorkerFullError, *, began: float
    ) -> Verdict:
        """Handles a transient interruption, which does not count unless it lasts too long.

        After GOOD_WORK seconds the attempt counts: otherwise an outage that recurs at the end of each attempt
        would repeat the encode without limit.
        """
        is_new = monotonic() - began >= GOOD_WORK
        _log.warning("attempt interrupted", error=str(error))
        if isinstance(error, WorkerFullError):
            self._found_full()
        try:
            outage = await self._database.encodes.note_outage(encode, forgiven=not is_new)
            if outage < self._outage_patience and not (is_new and encode.tries >= MAX_TRIES):
                return self._outcome("outage", timedelta(seconds=backoff(outage.total_seconds())))
            given_up = ProcessingFailedError(Code.BACKEND_UNAVAILABLE, str(error))
            return await self._mark_failed(encode, given_up)
        except FenceLostError:
            return await self._lost(encode.video_id, encode.number)
        except BackendUnavailableError:
            return self._outcome("outage", timedelta(seconds=backoff(0)))

    async def _lost(self, video_id: UUID, number: int) -> Verdict:
        await self._endings.lost(video_id, number)
        return self._outcome("fence lost")

    def _outcome(self, outcome: str, again_in: timedelta | None = None) -> Verdict:
        count_job(self._kind.job, outcome)
        return Verdict(again_in)

    async def _forgive_on_stop(self, encode: Encode) -> None:
        try:
            async with asyncio.timeout(_FORGIVE_TIMEOUT):
                await self._database.encodes.forgive_attempt(encode)
        except (FenceLostError, BackendUnavailableError, TimeoutError) as error:
            _log.warning("attempt not forgiven", error=str(error))


@contextmanager
def _at_work(encode: Encode, kind: AttemptKind) -> Iterator[None]:
    ATTEMPTS.inc()
    spans.annotate(gostream__attempt=encode.attempt, gostream__tries=encode.tries)
    with (
        kind.in_flight.track_inprogress(),
        structlog.contextvars.bound_contextvars(
            video_id=str(encode.video_id), encode=encode.number, attempt=encode.attempt
        ),
    ):
        _log.info("attempt begins", tries=encode.tries)
        yield
