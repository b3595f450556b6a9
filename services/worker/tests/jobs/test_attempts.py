"""Attempts are counted, retried, excused or failed for good."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from gostream_shared.db.database import PostgresDatabase, PostgresTransaction
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.errors import BackendUnavailableError, FenceLostError
from gostream_shared.domain.jobs import TranscodeJob
from gostream_shared.domain.repositories import NewVideo
from gostream_shared.domain.video import Publication, Source, Video, VideoStatus
from gostream_worker.failures import Code, ProcessingFailedError, WorkerFullError
from gostream_worker.jobs.attempts import MAX_TRIES, Attempts
from gostream_worker.jobs.verdict import DONE
from services.worker.tests.conftest import Recorder

pytestmark = pytest.mark.stack

Pipeline = Callable[[Encode], Awaitable[Video]]
PUBLICATION = Publication(
    duration=timedelta(seconds=1),
    source=Source(container="mov", codecs=("h264",), size_bytes=1, fps=25),
    renditions=(),
)


def failing(error: BaseException) -> Pipeline:
    async def pipeline(encode: Encode) -> Video:
        raise error

    return pipeline


class Desk:
    """Attempts over a real database with a scripted pipeline."""

    def __init__(self, database: PostgresDatabase) -> None:
        self.database = database
        self.recorder = Recorder()
        self.ended: list[int] = []
        self.outage_patience = timedelta(minutes=30)

    def attempts(self, pipeline: Pipeline) -> Attempts:
        return Attempts(
            self.database,
            pipeline,
            self.recorder,
            self.end_early,
            worker="test",
            outage_patience=self.outage_patience,
        )

    async def end_early(self, video_id: UUID, number: int) -> None:
        """Records the call, then fails like an unavailable store."""
        self.ended.append(number)
        raise BackendUnavailableError("object store")

    async def job(self) -> TranscodeJob:
        new = NewVideo(id=uuid4(), user_id="u", title="t", content_type="video/mp4")
        video = await self.database.videos.create(new)
        encode = await self.database.encodes.start_encode(video.id, profile="default")
        assert encode is not None
        return TranscodeJob(video_id=video.id, number=encode.number)

    async def video(self, job: TranscodeJob) -> Video:
        return await self.database.videos.get(job.video_id)

    async def removals(self) -> list[tuple[str, float]]:
        """Payloads of queued RemoveJobs and the seconds until each runs."""
        rows = await self.database.pool.fetch(
            """SELECT payload, extract(epoch FROM execute_after - now()) AS delay FROM pgqueuer
            WHERE entrypoint = 'remove'"""
        )
        return [(row["payload"].decode(), float(row["delay"])) for row in rows]


@pytest.fixture
def desk(database: PostgresDatabase) -> Desk:
    return Desk(database)


async def test_attempt_is_counted_before_the_pipeline_starts(desk: Desk) -> None:
    job = await desk.job()
    seen: list[int] = []

    async def pipeline(encode: Encode) -> Video:
        seen.append((await desk.video(job)).attempt)
        return await desk.database.encodes.mark_video_ready(encode, PUBLICATION)

    assert await desk.attempts(pipeline).transcode(job) == DONE
    assert seen == [1]


async def test_permanent_failure_is_not_retried(desk: Desk) -> None:
    job = await desk.job()
    error = ProcessingFailedError(Code.SOURCE_NOT_MEDIA, log_tail="[error] what is \0this?")
    error.stage = "probing"

    assert await desk.attempts(failing(error)).transcode(job) == DONE

    video = await desk.video(job)
    assert video.status is VideoStatus.FAILED
    assert video.failure == error.failure
    assert desk.recorder.announced == [(video.id, video.version)]
    tail = await desk.database.pool.fetchval("SELECT log_tail FROM encodes WHERE video_id = $1", job.video_id)
    assert tail == "[error] what is \ufffdthis?", "PostgreSQL text cannot hold NUL"


@pytest.mark.parametrize(("code", "tries"), [(Code.RESOURCE_LIMIT, 2), (Code.INTERNAL, 3)])
async def test_transient_failure_is_retried_a_few_times(desk: Desk, code: Code, tries: int) -> None:
    job = await desk.job()
    attempts = desk.attempts(failing(ProcessingFailedError(code)))

    verdicts = []
    for _ in range(tries):
        assert desk.ended == [], "the next attempt continues its playlists"
        verdicts.append(await attempts.transcode(job))

    assert desk.ended == [job.number]
    assert all(verdict.again_in for verdict in verdicts[:-1])
    assert verdicts[-1] == DONE
    video = await desk.video(job)
    assert video.failure is not None
    assert (video.failure.code, video.failure.retryable) == (code, True)


async def test_job_that_killed_three_workers_is_failed(desk: Desk) -> None:
    job = await desk.job()
    for _ in range(3):  # each worker starts and never reports back
        await desk.database.encodes.begin_attempt(job.video_id, job.number, worker="dead")

    assert await desk.attempts(failing(AssertionError("must not start"))).transcode(job) == DONE

    video = await desk.video(job)
    assert video.failure is not None
    assert video.failure.code == Code.INTERNAL


@pytest.mark.parametrize("error", [BackendUnavailableError("object store"), WorkerFullError()])
async def test_outage_is_waited_out_without_a_try(desk: Desk, error: Exception) -> None:
    job = await desk.job()
    attempts = desk.attempts(failing(error))

    for _ in range(5):
        verdict = await attempts.transcode(job)
        assert verdict.again_in is not None
        assert timedelta(seconds=0.5) < verdict.again_in < timedelta(seconds=80)

    video = await desk.video(job)
    assert (video.status, video.attempt) == (VideoStatus.PROCESSING, 5)
    begun = await desk.database.encodes.begin_attempt(job.video_id, job.number, worker="next")
    assert begun.tries == 1


async def test_retry_pauses_grow_to_about_a_minute(desk: Desk) -> None:
    job = await desk.job()
    attempts = desk.attempts(failing(BackendUnavailableError("object store")))
    await attempts.transcode(job)
    await age_outage(desk, job.video_id, "20 minutes")

    verdict = await attempts.transcode(job)

    assert verdict.again_in is not None
    assert timedelta(seconds=40) < verdict.again_in < timedelta(seconds=80)


async def test_endless_outage_fails_the_video_as_retryable(desk: Desk) -> None:
    job = await desk.job()
    attempts = desk.attempts(failing(BackendUnavailableError("object store")))
    await attempts.transcode(job)
    await age_outage(desk, job.video_id, "31 minutes")

    assert await attempts.transcode(job) == DONE

    video = await desk.video(job)
    assert video.failure is not None
    assert (video.failure.code, video.failure.retryable) == (Code.BACKEND_UNAVAILABLE, True)


async def test_outage_after_progress_gets_a_new_waiting_period(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await desk.job()
    attempts = desk.attempts(failing(BackendUnavailableError("object store")))
    await attempts.transcode(job)
    await age_outage(desk, job.video_id, "2 hours")
    monkeypatch.setattr("gostream_worker.jobs.attempts.GOOD_WORK", 0)

    verdict = await attempts.transcode(job)

    assert verdict.again_in is not None
    assert verdict.again_in < timedelta(seconds=3)


async def test_repeated_late_outages_fail_the_video_as_retryable(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gostream_worker.jobs.attempts.GOOD_WORK", 0)
    job = await desk.job()
    attempts = desk.attempts(failing(BackendUnavailableError("object store")))

    verdicts = [await attempts.transcode(job) for _ in range(MAX_TRIES)]

    assert [verdict.again_in is None for verdict in verdicts] == [False, False, True]
    video = await desk.video(job)
    assert video.failure is not None
    assert (video.failure.code, video.failure.retryable) == (Code.BACKEND_UNAVAILABLE, True)


async def test_unrecorded_failure_is_retried_without_a_try(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.outage_patience = timedelta(0)
    job = await desk.job()

    def away() -> AbstractAsyncContextManager[PostgresTransaction]:
        raise BackendUnavailableError("database")

    with monkeypatch.context() as patch:
        patch.setattr(desk.database, "transaction", away)
        verdict = await desk.attempts(failing(ProcessingFailedError(Code.TRUNCATED))).transcode(job)

    assert verdict.again_in is not None
    again = await desk.database.encodes.begin_attempt(job.video_id, job.number, worker="next")
    assert (again.attempt, again.tries) == (2, 1)


async def age_outage(desk: Desk, video_id: UUID, by: str) -> None:
    await desk.database.pool.execute(
        f"UPDATE encodes SET outage_since = outage_since - interval '{by}' WHERE video_id = $1",  # noqa: S608
        video_id,
    )


async def test_attempt_of_a_stopping_worker_costs_no_try(desk: Desk) -> None:
    job = await desk.job()
    begun = asyncio.Event()

    async def endless(encode: Encode) -> Video:
        begun.set()
        await asyncio.sleep(99)
        raise AssertionError

    task = asyncio.ensure_future(desk.attempts(endless).transcode(job))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    again = await desk.database.encodes.begin_attempt(job.video_id, job.number, worker="next")
    assert (again.attempt, again.tries) == (2, 1)


async def test_job_of_an_ended_encode_is_dropped(desk: Desk) -> None:
    job = await desk.job()
    await desk.database.encodes.cancel(job.video_id)

    assert await desk.attempts(failing(AssertionError("must not start"))).transcode(job) == DONE


async def test_attempt_without_the_fence_changes_nothing(desk: Desk) -> None:
    job = await desk.job()

    async def overtaken(encode: Encode) -> Video:
        await desk.database.encodes.begin_attempt(job.video_id, job.number, worker="successor")
        raise FenceLostError(encode.video_id, encode.number, encode.attempt)

    assert await desk.attempts(overtaken).transcode(job) == DONE

    assert (await desk.video(job)).status is VideoStatus.PROCESSING
    assert await desk.removals() == []
    assert desk.ended == [], "the successor continues its playlists"


async def test_attempt_without_the_fence_cannot_fail_the_video(desk: Desk) -> None:
    job = await desk.job()

    async def overtaken(encode: Encode) -> Video:
        await desk.database.encodes.begin_attempt(job.video_id, job.number, worker="successor")
        raise ProcessingFailedError(Code.CORRUPT_STREAM)

    assert await desk.attempts(overtaken).transcode(job) == DONE

    assert (await desk.video(job)).status is VideoStatus.PROCESSING


async def test_objects_of_cancelled_encode_are_removed_twice(desk: Desk) -> None:
    job = await desk.job()

    async def cancelled(encode: Encode) -> Video:
        await desk.database.encodes.cancel(job.video_id)
        raise FenceLostError(encode.video_id, encode.number, encode.attempt)

    await desk.attempts(cancelled).transcode(job)

    (late, late_delay), (now, now_delay) = await desk.removals()
    for payload in (now, late):
        assert str(job.video_id) in payload
        assert '"number":1' in payload
    assert now_delay <= 0 < late_delay <= 600
    assert desk.ended == [job.number], "the early playlists end for their viewers"


async def test_cancelled_encode_of_published_video_is_removed_later(desk: Desk) -> None:
    job = await desk.job()
    begun = await desk.database.encodes.begin_attempt(job.video_id, job.number, worker="w")
    await desk.database.encodes.mark_video_ready(begun, PUBLICATION)
    again = await desk.database.encodes.start_encode(job.video_id, profile="default")
    assert again is not None

    async def cancelled(encode: Encode) -> Video:
        await desk.database.encodes.cancel(job.video_id)
        raise FenceLostError(encode.video_id, encode.number, encode.attempt)

    await desk.attempts(cancelled).transcode(TranscodeJob(video_id=job.video_id, number=again.number))

    [(payload, delay)] = await desk.removals()
    assert '"number":2' in payload
    assert 0 < delay <= 600


async def test_encode_cancelled_between_attempts_is_removed(desk: Desk) -> None:
    job = await desk.job()
    await desk.attempts(failing(BackendUnavailableError("object store"))).transcode(job)
    await desk.database.encodes.cancel(job.video_id)

    assert await desk.attempts(failing(AssertionError("must not start"))).transcode(job) == DONE

    assert len(await desk.removals()) == 2


async def test_objects_uploaded_after_deletion_are_removed(desk: Desk) -> None:
    job = await desk.job()
    await desk.database.videos.delete(job.video_id)

    assert await desk.attempts(failing(AssertionError("must not start"))).transcode(job) == DONE

    [(payload, _)] = await desk.removals()
    assert '"number":null' in payload


async def test_late_delivery_keeps_an_encode_in_use(desk: Desk) -> None:
    job = await desk.job()
    encodes = desk.database.encodes
    await encodes.mark_video_ready(await encodes.begin_attempt(job.video_id, 1, worker="w"), PUBLICATION)
    await encodes.start_encode(job.video_id, profile="default")

    assert await desk.attempts(failing(AssertionError("must not start"))).transcode(job) == DONE

    assert await desk.removals() == []


async def test_only_objects_uploaded_after_publication_are_removed(
    desk: Desk,
) -> None:
    job = await desk.job()
    encodes = desk.database.encodes

    async def overtaken(encode: Encode) -> Video:
        successor = await encodes.begin_attempt(job.video_id, job.number, worker="successor")
        await encodes.mark_video_ready(successor, PUBLICATION)
        raise FenceLostError(encode.video_id, encode.number, encode.attempt)

    await desk.attempts(overtaken).transcode(job)

    [(payload, _)] = await desk.removals()
    assert '"published_attempt":2' in payload


async def test_objects_of_a_failed_encode_are_removed_later(desk: Desk) -> None:
    job = await desk.job()

    await desk.attempts(failing(ProcessingFailedError(Code.TRUNCATED))).transcode(job)

    assert len(await desk.removals()) == 1


async def test_job_is_released_during_a_database_outage(desk: Desk) -> None:
    job = await desk.job()
    desk.database.pool.terminate()

    verdict = await desk.attempts(failing(AssertionError("must not start"))).transcode(job)

    assert verdict.again_in is not None
