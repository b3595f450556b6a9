"""Expired upload sessions, and multipart uploads without a session."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.jobs import ExpireUploadJob
from gostream_shared.domain.object_keys import source_key
from gostream_shared.domain.repositories import NewVideo
from gostream_shared.domain.uploads import UploadSession, UploadState
from gostream_shared.storage.port import MultipartEndedError
from gostream_shared.storage.s3 import S3ObjectStore
from gostream_worker.jobs.upload_expiry import UploadExpiry, remove_orphans
from gostream_worker.jobs.verdict import DONE
from gostream_worker.metrics import ORPHANED_UPLOADS

pytestmark = pytest.mark.stack
HOUR = timedelta(hours=1)


@pytest.fixture
def expiry(database: PostgresDatabase, store: S3ObjectStore) -> UploadExpiry:
    return UploadExpiry(database, store)


async def opened(
    database: PostgresDatabase, store: S3ObjectStore, *, expires_in: timedelta = HOUR
) -> ExpireUploadJob:
    """Opens the session of a new video. Returns the job that ends it."""
    new = NewVideo(id=uuid4(), user_id="u", title="t", content_type="video/mp4")
    upload_id = await store.create_multipart(source_key(new.id), content_type="video/mp4")
    session = UploadSession(
        video_id=new.id,
        state=UploadState.OPEN,
        generation=1,
        store_upload_id=upload_id,
        size_bytes=5,
        part_size=8 << 20,
        expires_at=datetime.now(UTC),
    )
    async with database.transaction() as transaction:
        await transaction.videos.create(new)
        assert await transaction.upload_sessions.begin(session, expires_in=expires_in) is not None
    return ExpireUploadJob(video_id=new.id, generation=1, store_upload_id=upload_id)


async def state(database: PostgresDatabase, video_id: UUID) -> str:
    value: str = await database.pool.fetchval(
        "SELECT state FROM upload_sessions WHERE video_id = $1", video_id
    )
    return value


async def is_unfinished(store: S3ObjectStore, job: ExpireUploadJob) -> bool:
    try:
        await store.list_parts(source_key(job.video_id), job.store_upload_id)
    except MultipartEndedError:
        return False
    return True


async def test_expired_session_loses_its_parts(
    database: PostgresDatabase, store: S3ObjectStore, expiry: UploadExpiry
) -> None:
    job, other = await opened(database, store), await opened(database, store)

    assert await expiry.expire(job) == DONE
    assert await expiry.expire(job) == DONE

    assert await state(database, job.video_id) == "EXPIRED"
    assert not await is_unfinished(store, job)
    assert await state(database, other.video_id) == "OPEN"
    assert await is_unfinished(store, other)
    assert (await database.videos.get(job.video_id)).version == 1


@pytest.mark.parametrize("ended", [UploadState.COMPLETED, UploadState.ABORTED])
async def test_ended_session_keeps_its_state(
    database: PostgresDatabase, store: S3ObjectStore, expiry: UploadExpiry, ended: UploadState
) -> None:
    job = await opened(database, store)
    await database.upload_sessions.end(job.video_id, 1, ended, after=[UploadState.OPEN])

    await expiry.expire(job)

    assert await state(database, job.video_id) == ended
    assert not await is_unfinished(store, job), "an API may have died before it removed the parts"


async def test_next_generation_is_not_expired(
    database: PostgresDatabase, store: S3ObjectStore, expiry: UploadExpiry
) -> None:
    job = await opened(database, store, expires_in=timedelta(0))
    upload_id = await store.create_multipart(source_key(job.video_id), content_type="video/mp4")
    session = UploadSession(
        video_id=job.video_id,
        state=UploadState.OPEN,
        generation=2,
        store_upload_id=upload_id,
        size_bytes=5,
        part_size=8 << 20,
        expires_at=datetime.now(UTC),
    )
    assert await database.upload_sessions.begin(session, expires_in=HOUR) is not None

    await expiry.expire(job)

    assert await state(database, job.video_id) == "OPEN"
    assert not await is_unfinished(store, job)
    assert len(await store.list_parts(source_key(job.video_id), upload_id)) == 0


async def test_expiry_waits_for_the_database(database: PostgresDatabase, expiry: UploadExpiry) -> None:
    database.pool.terminate()

    verdict = await expiry.expire(ExpireUploadJob(video_id=uuid4(), generation=1, store_upload_id="u"))

    assert verdict.again_in is not None


async def test_only_orphaned_uploads_are_removed(
    database: PostgresDatabase, store: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gostream_worker.jobs.upload_expiry._BATCH", 2)
    kept = await opened(database, store)
    late = await opened(database, store, expires_in=timedelta(0))
    ended = await opened(database, store)
    await database.upload_sessions.end(ended.video_id, 1, UploadState.ABORTED, after=[UploadState.OPEN])
    for _ in range(3):
        await store.create_multipart(source_key(uuid4()), content_type="video/mp4")
    stream = await store.create_multipart(f"hls/{uuid4()}/v1/a.ts", content_type="video/mp2t")
    before = ORPHANED_UPLOADS._value.get()

    assert await remove_orphans(database, store, older_than=HOUR) == 0
    removed = await remove_orphans(database, store, older_than=timedelta(seconds=-1))

    left = {found.upload_id async for found in store.list_multiparts("")}
    assert removed >= 5
    assert ORPHANED_UPLOADS._value.get() == before + removed
    assert {kept.store_upload_id, stream} <= left
    assert {late.store_upload_id, ended.store_upload_id}.isdisjoint(left)
    sources = [found.upload_id async for found in store.list_multiparts("uploads/")]
    assert sources == [kept.store_upload_id]
