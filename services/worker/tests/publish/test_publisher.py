"""Several attempts and encodes of one video: which one publishes and which objects remain."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from gostream_shared.db.database import PostgresDatabase, PostgresTransaction
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.object_keys import hls_prefix
from gostream_shared.domain.video import VideoStatus
from gostream_worker.jobs.verdict import DONE
from services.worker.tests import clips
from services.worker.tests.attempt_hooks import before_publishing
from services.worker.tests.clips import Clips
from services.worker.tests.conftest import Worker
from services.worker.tests.hls_player import broken_rules, variants

pytestmark = pytest.mark.stack


async def test_every_attempt_uses_the_requested_profile(worker: Worker, clip: Clips) -> None:
    small = replace(worker.settings.profiles["quality"], rungs=(90,))
    worker.settings = replace(worker.settings, profiles={**worker.settings.profiles, "quality": small})
    video_id = await worker.upload(clip(clips.webm))
    job = await worker.start(video_id, profile="quality")
    await worker.dependencies.database.encodes.begin_attempt(video_id, job.number, worker="one that died")

    await worker.attempts.transcode(job)

    publication = (await worker.video(video_id)).publication
    assert publication is not None
    assert [rung.name for rung in publication.renditions] == ["90p"]


async def test_unknown_profile_fails_and_is_named(worker: Worker, clip: Clips) -> None:
    video_id = await worker.upload(clip(clips.plain))
    job = await worker.start(video_id, profile="of a newer version")

    verdicts = [await worker.attempts.transcode(job) for _ in range(3)]

    assert [verdict.again_in is None for verdict in verdicts] == [False, False, True], (
        "other workers may know the profile"
    )
    failure = (await worker.video(video_id)).failure
    assert failure is not None
    assert (failure.code, failure.retryable) == ("UNKNOWN_PROFILE", True)


async def test_new_encode_keeps_the_old_stream_for_viewers(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.plain))
    before = await worker.published(video.id)

    await worker.run_again(video.id)

    after = await worker.published(video.id)
    assert {name: after[name] for name in before if name != "master.m3u8"} == {
        name: data for name, data in before.items() if name != "master.m3u8"
    }
    assert all(uri.startswith("v2/") for uri in variants(after["master.m3u8"].decode()))
    assert (await worker.video(video.id)).published_number == 2


async def test_objects_of_earlier_attempts_are_removed_later(worker: Worker, clip: Clips) -> None:
    video_id = await worker.upload(clip(clips.plain))
    job = await worker.start(video_id)
    await worker.dependencies.database.encodes.begin_attempt(video_id, job.number, worker="one that died")
    left = ["v1/720p/00000.ts", "v1/720p/playlist.m3u8"]
    for name in left:
        await worker.dependencies.store.put(hls_prefix(video_id) + name, b"x", content_type="video/mp2t")

    await worker.attempts.transcode(job)
    published = await worker.published(video_id)
    await worker.collect()

    assert set(published) - set(await worker.published(video_id)) == set(left)


async def test_crash_while_publishing_leaves_a_playable_master(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = await worker.process(clip(clips.plain))
    job = await worker.start(video.id)

    async def die(video_id: UUID) -> None:
        raise asyncio.CancelledError

    async def refuse(*_: object, **__: object) -> None:
        raise BackendUnavailableError("object store")

    with monkeypatch.context() as patch:
        patch.setattr(
            worker.recorder, "refresh_master", die
        )  # between the write of the master and the commit
        with pytest.raises(asyncio.CancelledError):
            await worker.attempts.transcode(job)
    with monkeypatch.context() as patch:
        patch.setattr(worker.dependencies.store, "replace", refuse)
        assert (await worker.attempts.transcode(job)).again_in is not None
    await worker.dependencies.database.encodes.cancel(video.id)
    await worker.attempts.transcode(job)
    await worker.collect()

    published = await worker.published(video.id)
    named = variants(published["master.m3u8"].decode())
    assert named
    assert all(name in published for name in named)


async def test_source_replaced_before_download_is_encoded(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = await worker.upload(clip(clips.silent))
    job = await worker.start(video_id)
    store = worker.dependencies.store
    download = store.download

    async def replace_first(key: str, to: Path, *, etag: str) -> None:
        await store.put(key, clip(clips.odd_size), content_type="video/mp4")
        await download(key, to, etag=etag)

    with monkeypatch.context() as patch:
        patch.setattr(store, "download", replace_first)
        assert (await worker.attempts.transcode(job)).again_in is not None
    await worker.attempts.transcode(job)

    video = await worker.video(video_id)
    assert video.status is VideoStatus.READY, video.failure
    assert video.publication is not None
    assert video.publication.renditions[0].height == 240


async def test_attempt_that_loses_the_fence_writes_no_master(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = await worker.upload(clip(clips.plain))
    job = await worker.start(video_id)
    begin = worker.dependencies.database.encodes.begin_attempt

    async def overtake() -> None:
        await begin(video_id, job.number, worker="successor")

    with monkeypatch.context() as patch:
        before_publishing(patch, worker.dependencies.store, overtake)
        assert await worker.attempts.transcode(job) == DONE

    assert (await worker.video(video_id)).status is VideoStatus.PROCESSING
    assert "master.m3u8" not in await worker.published(video_id)


async def test_duplicate_delivery_publishes_one_set_of_objects(worker: Worker, clip: Clips) -> None:
    video_id = await worker.upload(clip(clips.long_enough_for_two_segments))
    job = await worker.start(video_id)

    verdicts = await asyncio.gather(worker.attempts.transcode(job), worker.attempts.transcode(job))

    assert set(verdicts) == {DONE}
    video = await worker.video(video_id)
    assert (video.status, video.attempt) == (VideoStatus.READY, 2), video.failure
    await worker.collect()
    published = await worker.published(video_id)
    segments = [name for name in published if name.endswith(".ts")]
    assert len(segments) == 6
    assert all(name.endswith("-2.ts") for name in segments), "no objects of the first delivery remain"
    assert await broken_rules(await worker.save(video_id)) == []
    assert worker.leftovers() == []


async def test_slow_announcement_does_not_lose_the_fence(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gostream_worker.progress.PUBLISH_INTERVAL", 0.01)

    async def slow(video_id: UUID, version: int) -> None:
        await asyncio.sleep(0.5)

    monkeypatch.setattr(worker.recorder, "announce", slow)
    video_id = await worker.upload(clip(clips.plain))
    job = await worker.start(video_id)
    encode = await worker.dependencies.database.encodes.begin_attempt(video_id, job.number, worker="test")

    video = await worker.service.run(encode)
    assert video is not None
    assert video.status is VideoStatus.READY


async def test_failed_second_encode_keeps_the_first_published(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.plain))
    master = await worker.master(video.id)
    await worker.dependencies.store.put(video.source_key, b"not a video any more", content_type="video/mp4")

    await worker.run_again(video.id)

    after = await worker.video(video.id)
    assert (after.status, after.published_number) == (VideoStatus.FAILED, 1)
    assert await worker.master(video.id) == master


class AnswerLost(PostgresDatabase):
    """Loses its connection right after the first commit."""

    lost = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        async with super().transaction() as transaction:
            yield transaction
        if not self.lost:
            self.lost = True
            raise BackendUnavailableError("database")


async def test_publication_with_lost_reply_keeps_its_segments(
    worker: Worker, database: PostgresDatabase, clip: Clips
) -> None:
    worker.dependencies = replace(worker.dependencies, database=AnswerLost(database.pool, database.address))
    worker.settings = replace(worker.settings, step_patience=30.0)

    video = await worker.process(clip(clips.long_enough_for_two_segments))

    assert video.status is VideoStatus.READY
    assert await broken_rules(await worker.save(video.id)) == []
