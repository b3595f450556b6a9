"""Deletion of videos whose expiry time has passed."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.errors import VideoNotFoundError
from gostream_shared.domain.jobs import ExpireJob
from gostream_shared.domain.repositories import NewVideo, VideoChanges
from gostream_shared.jobs.pgqueuer import EXPIRE, expire_job, remove_job
from gostream_worker.jobs.consumer import Consumer, JobKind, reading
from gostream_worker.jobs.expiry import Expiry
from gostream_worker.jobs.verdict import DONE
from gostream_worker.metrics import EXPIRED_VIDEOS
from services.worker.tests.conftest import Recorder

pytestmark = pytest.mark.stack
RETENTION = timedelta(hours=2)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def expiry(database: PostgresDatabase, recorder: Recorder) -> Expiry:
    return Expiry(database, recorder, retention=RETENTION)


async def expiring(database: PostgresDatabase, after: timedelta) -> ExpireJob:
    """Creates a video that expires so long after now. Returns its job, which is not queued."""
    video = await database.videos.create(
        NewVideo(id=uuid4(), user_id="u", title="t", content_type="video/mp4")
    )
    expires_at = datetime.now(UTC) + after
    await database.videos.update(
        video.id, VideoChanges(fields=frozenset({"expires_at"}), expires_at=expires_at)
    )
    return ExpireJob(video_id=video.id, expires_at=expires_at)


async def is_there(database: PostgresDatabase, video_id: UUID) -> bool:
    try:
        await database.videos.get(video_id)
    except VideoNotFoundError:
        return False
    return True


async def removals(database: PostgresDatabase) -> list[tuple[UUID, timedelta]]:
    rows = await database.pool.fetch(
        """SELECT payload, execute_after - now() AS delay FROM pgqueuer WHERE entrypoint = 'remove'
        ORDER BY execute_after"""
    )
    return [(remove_job(row["payload"]).video_id, row["delay"]) for row in rows]


async def test_job_deletes_a_video_at_its_time(
    database: PostgresDatabase, expiry: Expiry, recorder: Recorder
) -> None:
    job = await expiring(database, timedelta(seconds=-1))
    before = EXPIRED_VIDEOS._value.get()

    assert await expiry.expire(job) == DONE
    assert await expiry.expire(job) == DONE, "a second delivery"

    assert recorder.announced == [(job.video_id, 3)]
    assert EXPIRED_VIDEOS._value.get() == before + 1
    first, *_ = await removals(database)
    assert first[0] == job.video_id
    assert RETENTION - timedelta(minutes=5) < first[1] <= RETENTION
    assert await is_there(database, job.video_id) is False
    await database.deletions.undelete(job.video_id)


async def test_early_job_waits_for_the_database_clock(database: PostgresDatabase, expiry: Expiry) -> None:
    job = await expiring(database, timedelta(minutes=5))

    verdict = await expiry.expire(job)

    assert verdict.again_in is not None
    assert timedelta(0) < verdict.again_in <= timedelta(minutes=5)
    assert await is_there(database, job.video_id)


async def test_job_of_an_earlier_time_does_nothing(database: PostgresDatabase, expiry: Expiry) -> None:
    job = await expiring(database, timedelta(seconds=-1))
    await database.videos.update(job.video_id, VideoChanges(fields=frozenset({"expires_at"})))

    assert await expiry.expire(job) == DONE

    assert await is_there(database, job.video_id)
    assert await removals(database) == []


async def test_sweep_finds_videos_without_a_job(
    database: PostgresDatabase, expiry: Expiry, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gostream_worker.jobs.expiry._BATCH", 2)
    past = [await expiring(database, timedelta(seconds=-1)) for _ in range(5)]
    future = await expiring(database, timedelta(hours=1))

    assert await expiry.sweep() == 5

    assert {video_id for video_id, _ in recorder.announced} == {job.video_id for job in past}
    assert await is_there(database, future.video_id)
    assert {video_id for video_id, _ in await removals(database)} == {job.video_id for job in past}
    assert await expiry.sweep() == 0


async def test_expiry_waits_for_the_database(database: PostgresDatabase, expiry: Expiry) -> None:
    database.pool.terminate()

    verdict = await expiry.expire(ExpireJob(video_id=uuid4(), expires_at=datetime.now(UTC)))

    assert verdict.again_in is not None


async def test_queued_job_runs_at_its_time(database: PostgresDatabase, expiry: Expiry) -> None:
    job = await expiring(database, timedelta(seconds=1))
    async with database.transaction() as transaction:
        await transaction.jobs.enqueue(job, delay=timedelta(seconds=1))
    kinds = {EXPIRE: JobKind(reading(expire_job, expiry.expire), slots=1)}
    consumer = Consumer(database.pool, kinds, listener=database.listener(), lease=timedelta(seconds=2))
    running = asyncio.create_task(consumer.run())
    async with asyncio.timeout(300):
        while await is_there(database, job.video_id):
            await asyncio.sleep(0.05)
    consumer.stop()
    await running


async def test_sweeper_stops_on_request(expiry: Expiry) -> None:
    running = asyncio.ensure_future(expiry.run())
    await asyncio.sleep(0)
    expiry.stop()

    async with asyncio.timeout(300):
        await running
