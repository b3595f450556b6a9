"""Sources that change during an attempt, for copied and streamed sources."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from gostream_shared.domain.object_keys import source_key
from gostream_shared.domain.video import VideoStatus
from gostream_worker.failures import Code
from gostream_worker.jobs.verdict import DONE
from gostream_worker.source import range_reader
from services.worker.tests import clips
from services.worker.tests.attempt_hooks import after_probing, before_publishing
from services.worker.tests.clips import Clips, Recipe
from services.worker.tests.conftest import Worker
from services.worker.tests.hls_player import broken_rules
from services.worker.tests.test_copying import fit
from tests.support.quick import first_quick

pytestmark = pytest.mark.stack
Moment = Callable[[Worker, UUID, Path, pytest.MonkeyPatch], None]


@pytest.fixture(params=[0, 1 << 30], ids=["streamed", "copied"])
def either(worker: Worker, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """A worker that streams every source, and one that copies every source."""
    monkeypatch.setattr(range_reader, "BLOCK", 40_000)
    monkeypatch.setattr(range_reader, "KEPT", 1)
    worker.settings = replace(worker.settings, max_copied_bytes=request.param)
    return worker


async def put_source(worker: Worker, video_id: UUID, path: Path) -> None:
    await worker.dependencies.store.put(source_key(video_id), path, content_type="video/mp4")


def replace_after_probing(worker: Worker, video_id: UUID, by: Path, patch: pytest.MonkeyPatch) -> None:
    async def replace_source(url: str, folder: Path) -> None:
        await put_source(worker, video_id, by)

    after_probing(patch, replace_source)


def replace_before_publishing(worker: Worker, video_id: UUID, by: Path, patch: pytest.MonkeyPatch) -> None:
    before_publishing(patch, worker.dependencies.store, lambda: put_source(worker, video_id, by))


@pytest.mark.parametrize(
    "replace_then", [replace_after_probing, replace_before_publishing], ids=lambda moment: moment.__name__
)
@pytest.mark.parametrize(
    "before", first_quick([clips.long_enough_for_two_segments, fit], 1), ids=lambda r: r.__name__
)
async def test_latest_upload_is_published(
    either: Worker,
    clip: Clips,
    monkeypatch: pytest.MonkeyPatch,
    before: Recipe,
    replace_then: Moment,
) -> None:
    video_id = await either.upload(clip(before))
    job = await either.start(video_id)

    with monkeypatch.context() as patch:
        replace_then(either, video_id, clip(clips.odd_size), patch)
        assert (await either.attempts.transcode(job)).again_in is not None
    assert "master.m3u8" not in await either.published(video_id)
    assert await either.attempts.transcode(job) == DONE

    video = await either.video(video_id)
    assert (video.status, video.attempt) == (VideoStatus.READY, 2), video.failure
    assert video.publication is not None
    assert video.publication.renditions[0].height == 240
    assert await broken_rules(await either.save(video_id)) == []


@pytest.mark.slow
async def test_repeatedly_replaced_source_fails_with_its_code(
    either: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = await either.upload(clip(clips.long_enough_for_two_segments))
    job = await either.start(video_id)
    for recipe in (clips.late_sound, clips.long_enough_for_two_segments, clips.late_sound):
        with monkeypatch.context() as patch:
            replace_after_probing(either, video_id, clip(recipe), patch)
            verdict = await either.attempts.transcode(job)

    assert verdict == DONE
    failure = (await either.video(video_id)).failure
    assert failure is not None
    assert (failure.code, failure.retryable) == (Code.SOURCE_REPLACED, True)


async def test_source_removed_after_reading_is_still_published(
    either: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = await either.upload(clip(clips.plain))
    job = await either.start(video_id)
    store = either.dependencies.store
    before_publishing(monkeypatch, store, lambda: store.delete([source_key(video_id)]))

    assert await either.attempts.transcode(job) == DONE

    video = await either.video(video_id)
    assert (video.status, video.attempt) == (VideoStatus.READY, 1), video.failure


async def test_identical_upload_is_not_encoded_again(
    either: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = await either.upload(clip(clips.plain))
    job = await either.start(video_id)
    replace_before_publishing(either, video_id, clip(clips.plain), monkeypatch)

    assert await either.attempts.transcode(job) == DONE

    assert (await either.video(video_id)).attempt == 1


async def test_replaced_source_keeps_the_previous_stream(
    either: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = await either.process(clip(clips.plain))
    master = await either.master(video.id)
    replace_before_publishing(either, video.id, clip(clips.odd_size), monkeypatch)

    assert (await either.run_again(video.id)).again_in is not None

    assert await either.master(video.id) == master
