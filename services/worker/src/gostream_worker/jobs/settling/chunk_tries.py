"""Runs tries of chunks: counts each one before it starts, and settles the job by its result."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic
from typing import Protocol

import structlog

from gostream_shared.domain.companions.chunks import Chunks, ChunkTry
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.errors import BackendUnavailableError, FenceLostError
from gostream_shared.domain.jobs import ChunkJob
from gostream_shared.observability.tracing import spans
from gostream_worker.failures import Code, FailureClass, ProcessingFailedError, WorkerFullError
from gostream_worker.jobs.settling.endings import Endings
from gostream_worker.jobs.verdict import Verdict
from gostream_worker.metrics import CHUNK_SECONDS, CHUNKS_IN_FLIGHT, count_failure, count_job
from gostream_worker.plan.chunks import ChunkKind
from gostream_worker.retry import backoff

_log = structlog.stdlib.get_logger("gostream.chunks")

#: Maximum number of counted tries. It also stops a chunk that kills workers.
MAX_TRIES = FailureClass.INTERNAL.value
#: Failures of a chunk that another plan may avoid: a small part of the film may be damaged.
_OF_THE_PLAN = frozenset({Code.SOURCE_REPLACED, Code.CORRUPT_STREAM, Code.TRUNCATED})
#: Delay before a retry after an INTERNAL failure.
_PAUSE = timedelta(seconds=5)
#: Seconds to record that a cancelled try does not count.
_FORGIVE_TIMEOUT = 5.0


class Begin(Protocol):
    """Begins a try. Raises FenceLostError and BackendUnavailableError."""

    async def __call__(self, job: ChunkJob) -> ChunkTry: ...


class ChunkTries:
    """Runs chunks for jobs and decides what their failures mean for the film."""

    def __init__(
        self,
        chunks: Chunks,
        run: Callable[[ChunkTry], Awaitable[None]],
        begin: Begin,
        plan_anew: Callable[[Encode], Awaitable[None]],
        endings: Endings,
        *,
        outage_patience: timedelta,
        found_full: Callable[[], None] = lambda: None,
    ) -> None:
        self._chunks = chunks
        self._run = run
        self._begin = begin
        self._plan_anew = plan_anew
        self._endings = endings
        self._outage_patience = outage_patience
        self._found_full = found_full

    async def encode(self, job: ChunkJob) -> Verdict:
        """Handles one delivery of a job. Cancellation releases the job, and the try does not count."""
        try:
            running = await self._begin(job)
        except FenceLostError:  # done, or the encode is over
            return _outcome("dropped")
        except BackendUnavailableError:
            return _outcome("outage", timedelta(seconds=backoff(0)))
        spans.annotate(gostream__attempt=running.encode.attempt, gostream__tries=running.tries)
        with (
            CHUNKS_IN_FLIGHT.track_inprogress(),
            structlog.contextvars.bound_contextvars(
                video_id=str(job.video_id), encode=job.number, chunk=job.chunk, chunk_try=running.tries
            ),
        ):
            _log.info("chunk begins", kind=running.kind, tries=running.counted)
            return await self._settle(running)

    async def _settle(self, running: ChunkTry) -> Verdict:
        began = monotonic()
        if running.counted > MAX_TRIES:
            poison = f"{MAX_TRIES} tries of chunk {running.chunk} ended their worker"
            return await self._failed(running, ProcessingFailedError(Code.INTERNAL, poison))
        try:
            await self._run(running)
        except FenceLostError:
            return await self._lost(running)
        except ProcessingFailedError as error:
            return await self._failed(running, error)
        except (BackendUnavailableError, WorkerFullError) as error:
            return await self._interrupted(running, error)
        except asyncio.CancelledError:
            _log.info("chunk released")
            await asyncio.shield(self._forgive_on_stop(running))
            count_job("chunk", "given back")
            raise
        CHUNK_SECONDS.observe(monotonic() - began)
        _log.info("chunk done", seconds=round(monotonic() - began, 2))
        return _outcome("done")

    async def _failed(self, running: ChunkTry, error: ProcessingFailedError) -> Verdict:
        """Repeats the chunk, plans the film again, or fails it.

        Only the picture is repeated: a failure of another chunk depends on the source and on the plan. A new
        plan counts as an attempt of the film, in which one worker encodes it, so there are few.
        """
        count_failure(error.code)
        final = running.counted >= error.failure_class.value
        _log.warning("chunk failed", code=error.code, detail=error.detail, stage=error.stage, final=final)
        is_permanent = error.failure_class is FailureClass.PERMANENT
        is_of_plan = error.code in _OF_THE_PLAN or (
            not is_permanent and (final or running.kind != ChunkKind.PICTURE)
        )
        try:
            if is_of_plan and running.counted <= MAX_TRIES:
                await self._plan_anew(running.encode)
                return _outcome("planned anew")
            if not final:
                return _outcome("retried", _PAUSE)
            await self._endings.mark_failed(running.encode, error)
        except FenceLostError:
            return await self._lost(running)
        except BackendUnavailableError as unavailable:
            return await self._interrupted(running, unavailable)
        return _outcome("failed")

    async def _interrupted(
        self, running: ChunkTry, error: BackendUnavailableError | WorkerFullError
    ) -> Verdict:
        """Handles a transient interruption, which does not count unless it lasts too long."""
        _log.warning("chunk interrupted", error=str(error))
        if isinstance(error, WorkerFullError):
            self._found_full()
        try:
            outage = await self._chunks.note_outage(running)
            if outage < self._outage_patience:
                return _outcome("outage", timedelta(seconds=backoff(outage.total_seconds())))
            given_up = ProcessingFailedError(Code.BACKEND_UNAVAILABLE, str(error))
            await self._endings.mark_failed(running.encode, given_up)
        except FenceLostError:
            return await self._lost(running)
        except BackendUnavailableError:
            return _outcome("outage", timedelta(seconds=backoff(0)))
        return _outcome("failed")

    async def _lost(self, running: ChunkTry) -> Verdict:
        await self._endings.lost(running.encode.video_id, running.encode.number)
        return _outcome("fence lost")

    async def _forgive_on_stop(self, running: ChunkTry) -> None:
        try:
            async with asyncio.timeout(_FORGIVE_TIMEOUT):
                await self._chunks.forgive(running)
        except (FenceLostError, BackendUnavailableError, TimeoutError) as error:
            _log.warning("try not forgiven", error=str(error) or type(error).__name__)


def _outcome(outcome: str, again_in: timedelta | None = None) -> Verdict:
    count_job("chunk", outcome)
    return Verdict(again_in)
