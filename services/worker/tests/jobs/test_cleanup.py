"""Removal of unreferenced objects."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.errors import VideoNotFoundError
from gostream_shared.domain.jobs import RemoveJob
from gostream_shared.domain.object_keys import encode_prefix, hls_prefix, master_key, source_key
from gostream_worker.jobs.cleanup import Removal
from gostream_worker.jobs.verdict import DONE
from services.worker.tests.conftest import Worker

from .test_attempts import PUBLICATION

pytestmark = pytest.mark.stack


@pytest.fixture
def removal(worker: Worker) -> Removal:
    return Removal(worker.dependencies.database, worker.dependencies.store)


async def put(worker: Worker, *keys: str) -> None:
    for key in keys:
        await worker.dependencies.store.put(key, b"x", content_type="video/mp2t")


async def keys(worker: Worker, video_id: UUID) -> set[str]:
    prefixes = (hls_prefix(video_id), f"uploads/{video_id}/")
    return {found.key for prefix in prefixes async for found in worker.dependencies.store.list(prefix)}


async def encoded(worker: Worker) -> UUID:
    """A video whose encode 1 is published."""
    video_id = await worker.upload(b"x")
    await worker.start(video_id)
    begun = await worker.dependencies.database.encodes.begin_attempt(video_id, 1, worker="w")
    await worker.dependencies.database.encodes.mark_video_ready(begun, PUBLICATION)
    return video_id


async def test_only_the_superseded_encode_is_removed(worker: Worker, removal: Removal) -> None:
    video_id = await encoded(worker)
    await worker.start(video_id)
    begun = await worker.dependencies.database.encodes.begin_attempt(video_id, 2, worker="w")
    await worker.dependencies.database.encodes.mark_video_ready(begun, PUBLICATION)
    old = [f"{encode_prefix(video_id, 1)}720p/00000.ts", f"{encode_prefix(video_id, 1)}poster.jpg"]
    kept = {
        f"{encode_prefix(video_id, 2)}720p/00000.ts",
        f"{encode_prefix(video_id, 11)}a.ts",
        master_key(video_id),
    }
    await put(worker, *old, *kept)

    assert await removal.remove(RemoveJob(video_id=video_id, number=1)) == DONE

    assert await keys(worker, video_id) == kept | {source_key(video_id)}


async def test_published_encode_is_never_removed(worker: Worker, removal: Removal) -> None:
    video_id = await encoded(worker)
    await put(worker, f"{encode_prefix(video_id, 1)}720p/00000.ts")

    await removal.remove(RemoveJob(video_id=video_id, number=1))

    assert f"{encode_prefix(video_id, 1)}720p/00000.ts" in await keys(worker, video_id)


async def test_running_encode_is_never_removed(worker: Worker, removal: Removal) -> None:
    video_id = await worker.upload(b"x")
    await worker.start(video_id)
    await put(worker, f"{encode_prefix(video_id, 1)}720p/00000.ts")

    await removal.remove(RemoveJob(video_id=video_id, number=1))

    assert f"{encode_prefix(video_id, 1)}720p/00000.ts" in await keys(worker, video_id)


async def test_failed_encode_with_viewers_is_kept(worker: Worker, removal: Removal) -> None:
    video_id = await encoded(worker)
    segment = f"{encode_prefix(video_id, 2)}720p/00000.ts"
    await put(worker, segment)
    master = b"#EXTM3U\nv2/720p/playlist.m3u8\n"
    await worker.dependencies.store.put(master_key(video_id), master, content_type="text/plain")

    verdict = await removal.remove(RemoveJob(video_id=video_id, number=2))

    assert verdict.again_in is not None
    assert segment in await keys(worker, video_id)


async def test_all_objects_of_a_deleted_video_are_removed(worker: Worker, removal: Removal) -> None:
    video_id = await encoded(worker)
    await put(worker, f"{encode_prefix(video_id, 1)}720p/00000.ts", master_key(video_id))
    await worker.dependencies.database.videos.delete(video_id)

    assert await removal.remove(RemoveJob(video_id=video_id)) == DONE

    assert await keys(worker, video_id) == set()


async def test_removal_keeps_the_source_of_existing_videos(worker: Worker, removal: Removal) -> None:
    video_id = await encoded(worker)

    await removal.remove(RemoveJob(video_id=video_id))

    assert source_key(video_id) in await keys(worker, video_id)


async def test_objects_remain_while_undeletion_is_possible(worker: Worker, removal: Removal) -> None:
    database = worker.dependencies.database
    video_id = await encoded(worker)
    await put(worker, f"{encode_prefix(video_id, 1)}720p/00000.ts", master_key(video_id))
    before = await keys(worker, video_id)
    await database.videos.delete(video_id, retention=timedelta(hours=1))

    for job in (RemoveJob(video_id=video_id), RemoveJob(video_id=video_id, turn=1)):
        verdict = await removal.remove(job)
        assert verdict.again_in is not None
        assert timedelta(minutes=55) < verdict.again_in <= timedelta(hours=1)
    await removal.remove(RemoveJob(video_id=video_id, number=1))  # of a late worker

    assert await keys(worker, video_id) == before
    await database.deletions.undelete(video_id)
    assert await removal.remove(RemoveJob(video_id=video_id)) == DONE
    assert await keys(worker, video_id) == before


async def test_encode_that_a_deletion_ended_is_removed(worker: Worker, removal: Removal) -> None:
    video_id = await worker.upload(b"x")
    await worker.start(video_id)
    await put(worker, f"{encode_prefix(video_id, 1)}720p/00000.ts")
    await worker.dependencies.database.videos.delete(video_id, retention=timedelta(hours=1))

    await removal.remove(RemoveJob(video_id=video_id, number=1))

    assert await keys(worker, video_id) == {source_key(video_id)}


async def test_ended_retention_is_final(worker: Worker, removal: Removal) -> None:
    database = worker.dependencies.database
    video_id = await encoded(worker)
    await database.videos.delete(video_id, retention=timedelta(0))

    assert await removal.remove(RemoveJob(video_id=video_id)) == DONE

    assert await keys(worker, video_id) == set()
    with pytest.raises(VideoNotFoundError):
        await database.deletions.undelete(video_id)


async def test_removal_of_missing_objects_succeeds(removal: Removal) -> None:
    assert await removal.remove(RemoveJob(video_id=uuid4())) == DONE


async def test_removal_waits_for_the_database(database: PostgresDatabase, removal: Removal) -> None:
    database.pool.terminate()

    verdict = await removal.remove(RemoveJob(video_id=uuid4()))

    assert verdict.again_in is not None
