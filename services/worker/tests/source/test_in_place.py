"""A source that is named by its object key is read in place, and never changed."""

from uuid import uuid4

import pytest

from gostream_shared.domain.companions.remote_sources import RemoteSource
from gostream_shared.domain.jobs import RemoveJob, TranscodeJob
from gostream_shared.domain.repositories import NewVideo
from gostream_shared.domain.video import VideoStatus
from gostream_shared.storage.port import ObjectNotFoundError
from gostream_worker.jobs.cleanup import Removal
from services.worker.tests import clips
from services.worker.tests.clips import Clips
from services.worker.tests.conftest import Worker

pytestmark = pytest.mark.stack


async def begun(worker: Worker, key: str) -> TranscodeJob:
    """The job of a video whose source is that object."""
    new = NewVideo(id=uuid4(), user_id="u", title="t", content_type="video/mp4")
    async with worker.dependencies.database.transaction() as transaction:
        await transaction.videos.create(new)
        await transaction.remote_sources.add(new.id, RemoteSource(key=key))
    return await worker.start(new.id)


async def test_named_object_is_published_and_kept(worker: Worker, clip: Clips) -> None:
    key, store = f"films/{uuid4()}/a b.mp4", worker.dependencies.store
    await store.put(key, clip(clips.plain), content_type="video/mp4")
    before = await store.head(key)
    job = await begun(worker, key)

    await worker.attempts.transcode(job)

    assert (await worker.video(job.video_id)).status is VideoStatus.READY
    await worker.dependencies.database.videos.delete(job.video_id)
    await Removal(worker.dependencies.database, store).remove(RemoveJob(video_id=job.video_id))
    assert await worker.published(job.video_id) == {}
    assert await store.head(key) == before


async def test_removed_object_fails_the_encode(worker: Worker) -> None:
    job = await begun(worker, f"films/{uuid4()}/none.mp4")

    await worker.attempts.transcode(job)

    failure = (await worker.video(job.video_id)).failure
    assert failure is not None
    assert failure.code == "SOURCE_GONE"
    with pytest.raises(ObjectNotFoundError):
        await worker.dependencies.store.head(f"uploads/{job.video_id}/source")
