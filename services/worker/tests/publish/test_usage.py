"""The bytes that an encode adds to the usage of its owner, and their subtraction."""

import asyncpg
import pytest

from gostream_shared.domain.jobs import RemoveJob
from gostream_worker.jobs.cleanup import Removal
from gostream_worker.jobs.verdict import DONE
from services.worker.tests import clips
from services.worker.tests.clips import Clips
from services.worker.tests.conftest import Worker

pytestmark = pytest.mark.stack


async def stored(worker: Worker) -> int:
    """The bytes of the owner of the test's videos."""
    connection: asyncpg.Pool = worker.dependencies.database.pool  # type: ignore[attr-defined]  # the real one
    return int(await connection.fetchval("SELECT stored_bytes FROM owner_usage WHERE owner = 'u'"))


async def test_stored_bytes_follow_the_objects(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.plain))
    objects = await worker.published(video.id)
    assert await stored(worker) == sum(map(len, objects.values()))

    await worker.run_again(video.id)
    await worker.collect()
    objects = await worker.published(video.id)
    assert not [name for name in objects if name.startswith("v1/")]
    assert await stored(worker) == sum(map(len, objects.values()))

    await worker.dependencies.database.videos.delete(video.id)
    assert await stored(worker) == sum(map(len, objects.values())), "the objects still exist"
    removal = Removal(worker.dependencies.database, worker.dependencies.store)
    for _ in range(2):  # deliveries of the same job
        assert await removal.remove(RemoveJob(video_id=video.id)) == DONE
    assert await stored(worker) == 0
