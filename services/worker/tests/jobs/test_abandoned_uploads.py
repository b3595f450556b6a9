"""Removal of videos whose upload was never finished."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.errors import VideoNotFoundError
from gostream_shared.domain.object_keys import hls_prefix, source_key
from gostream_shared.domain.repositories import NewVideo
from gostream_worker.jobs.abandoned_uploads import Abandoned
from gostream_worker.metrics import ABANDONED_VIDEOS
from services.worker.tests.conftest import Recorder, Worker

pytestmark = pytest.mark.stack
PATIENCE = timedelta(hours=24)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def abandoned(database: PostgresDatabase, recorder: Recorder) -> Abandoned:
    return Abandoned(database, recorder, patience=PATIENCE)


async def created(database: PostgresDatabase, *, expired: timedelta) -> UUID:
    """Creates a video whose last upload URL expired this long ago."""
    new = NewVideo(id=uuid4(), user_id="u", title="t", content_type="video/mp4")
    async with database.transaction() as transaction:
        video = await transaction.videos.create(new)
        await transaction.uploads.note_url(video.id, expires_in=-expired)
    return video.id


async def is_there(database: PostgresDatabase, video_id: UUID) -> bool:
    try:
        await database.videos.get(video_id)
    except VideoNotFoundError:
        return False
    return True


async def test_unused_video_is_deleted_after_a_day(
    database: PostgresDatabase, abandoned: Abandoned, recorder: Recorder
) -> None:
    old = await created(database, expired=PATIENCE + timedelta(seconds=1))
    recent = await created(database, expired=PATIENCE - timedelta(minutes=1))
    before = ABANDONED_VIDEOS._value.get()

    assert await abandoned.collect() == 1

    assert (await is_there(database, old), await is_there(database, recent)) == (False, True)
    assert recorder.announced == [(old, 2)]
    assert ABANDONED_VIDEOS._value.get() == before + 1
    assert await abandoned.collect() == 0


async def test_latest_upload_url_sets_the_deadline(database: PostgresDatabase, abandoned: Abandoned) -> None:
    video_id = await created(database, expired=PATIENCE * 2)
    async with database.transaction() as transaction:
        await transaction.uploads.note_url(video_id, expires_in=timedelta(hours=1))
        await transaction.uploads.note_url(video_id, expires_in=timedelta(0))

    assert await abandoned.collect() == 0
    remaining = await database.pool.fetchval("SELECT expires_at - now() FROM uploads")
    assert remaining > timedelta(minutes=50)
    assert (await database.videos.get(video_id)).version == 1


async def test_processed_and_deleted_videos_are_not_collected(
    database: PostgresDatabase, abandoned: Abandoned, recorder: Recorder
) -> None:
    processing, deleted = [await created(database, expired=PATIENCE * 2) for _ in range(2)]
    await database.encodes.start_encode(processing, profile="default")
    await database.videos.delete(deleted)

    assert await abandoned.collect() == 0

    assert await is_there(database, processing)
    assert recorder.announced == []
    assert await database.pool.fetchval("SELECT count(*) FROM uploads") == 0


async def test_source_of_an_abandoned_upload_is_removed(
    worker: Worker, database: PostgresDatabase, abandoned: Abandoned
) -> None:
    video_id = await created(database, expired=PATIENCE * 2)
    await worker.dependencies.store.put(source_key(video_id), b"x", content_type="video/mp4")

    await abandoned.collect()
    await worker.collect()

    prefixes = (f"uploads/{video_id}/", hls_prefix(video_id))
    assert [found for prefix in prefixes async for found in worker.dependencies.store.list(prefix)] == []


async def test_all_batches_are_collected(
    database: PostgresDatabase, abandoned: Abandoned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gostream_worker.jobs.abandoned_uploads._BATCH", 2)
    for _ in range(5):
        await created(database, expired=PATIENCE * 2)

    assert await abandoned.collect() == 5


async def test_only_one_collector_runs_at_a_time(database: PostgresDatabase, abandoned: Abandoned) -> None:
    await created(database, expired=PATIENCE * 2)
    async with database.transaction() as transaction:
        examined, deleted = await transaction.uploads.delete_abandoned(expired_for=PATIENCE, limit=9)
        assert (examined, len(deleted)) == (1, 1)

        assert await abandoned.collect() == 0


async def test_collector_stops_on_request(abandoned: Abandoned) -> None:
    running = asyncio.ensure_future(abandoned.run())
    await asyncio.sleep(0)
    abandoned.stop()

    async with asyncio.timeout(300):
        await running
