"""Streams that break a rule are not published. Defects are planted in encoder output and playlists."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gostream_shared.domain.video import VideoStatus
from gostream_worker.encode import command
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.plan import storyboard
from gostream_worker.publish import measure, playlists, thumbnails
from gostream_worker.publish.measure import Measured
from services.worker.tests import clips
from services.worker.tests.clips import Clips
from services.worker.tests.conftest import Worker

pytestmark = pytest.mark.stack


async def refused(worker: Worker, clip: Clips) -> ProcessingFailedError:
    """Runs one attempt on a good source and returns its failure."""
    video_id = await worker.upload(clip(clips.long_enough_for_two_segments))
    job = await worker.start(video_id)
    encode = await worker.dependencies.database.encodes.begin_attempt(video_id, job.number, worker="test")
    with pytest.raises(ProcessingFailedError) as caught:
        await worker.service.run(encode)
    assert "master.m3u8" not in await worker.published(video_id)
    assert (await worker.video(video_id)).status is VideoStatus.PROCESSING
    return caught.value


def cut(when: Callable[[bytes], bool], to: Callable[[bytes], bytes]) -> Callable[[bytes], Measured]:
    """A `measure` that sees some segments cut short."""
    return lambda data: measure.measure(to(data) if when(data) else data)


def is_first_of_the_top_rung(data: bytes) -> bool:
    whole = measure.measure(data).whole
    sets = whole.video.parameter_sets if whole.video else ()
    return bool(sets) and sets[0].width == 640 and whole.first_pts == 900_000


async def test_wrong_playlist_duration_is_not_published(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*arguments: Any, **options: Any) -> str:
        return playlists.media_playlist(*arguments, **options).replace("#EXTINF:6.006000", "#EXTINF:5.000000")

    monkeypatch.setattr("gostream_worker.publish.presentation.media_playlist", wrong)

    error = await refused(worker, clip)

    assert (error.code, error.stage) == (Code.INTERNAL, "publishing")
    assert "media.extinf: v1/360p/playlist.m3u8" in error.detail


async def test_segment_without_its_last_frames_is_not_published(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = cut(is_first_of_the_top_rung, lambda data: data[: len(data) // 376 * 188])
    monkeypatch.setattr("gostream_worker.publish.uploader.measure", half)

    error = await refused(worker, clip)

    assert error.code is Code.INTERNAL
    assert "media.extinf" in error.detail
    assert "segments.timeline" in error.detail
    assert "v1/360p/00000.ts" in error.log_tail


async def test_segment_cut_within_a_packet_is_not_published(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "gostream_worker.publish.uploader.measure", cut(is_first_of_the_top_rung, lambda data: data[:-7])
    )

    error = await refused(worker, clip)

    assert error.detail.startswith("segments.whole-packets: ")


async def test_cues_beyond_the_sheet_are_not_published(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*arguments: Any, **options: Any) -> str:
        return storyboard.cues(*arguments, **options).replace("xywh=0,", "xywh=3840,")

    monkeypatch.setattr("gostream_worker.publish.presentation.cues", wrong)

    error = await refused(worker, clip)

    assert error.detail.startswith("storyboard.parts: v1/storyboard.vtt:3: ")


async def test_short_cues_are_not_published(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(board: storyboard.Storyboard, *, frames: int, duration: timedelta) -> str:
        return storyboard.cues(board, frames=frames, duration=duration - timedelta(seconds=0.2))

    monkeypatch.setattr("gostream_worker.publish.presentation.cues", wrong)

    error = await refused(worker, clip)

    assert error.detail.startswith("storyboard.covers: v1/storyboard.vtt: ends at 7.3")


async def test_invalid_storyboard_image_is_not_published(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wrong(folder: Path, cues: str) -> thumbnails.Thumbnails:
        found = await thumbnails.read_thumbnails(folder, cues)
        return replace(found, sheet=b"\x00" * 1000)

    monkeypatch.setattr("gostream_worker.chunks.finishing.read_thumbnails", wrong)

    error = await refused(worker, clip)

    assert error.detail.startswith("storyboard.pictures: v1/storyboard.jpg: ")


async def test_truncated_sound_is_not_published(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = command._sound
    monkeypatch.setattr(command, "_sound", lambda *arguments: [*whole(*arguments), "-t", "4"])

    error = await refused(worker, clip)

    assert (error.code, error.stage) == (Code.INTERNAL, "publishing")
    assert error.detail.startswith("gate.equal-lengths: the sound ends -3.")


@pytest.mark.slow
async def test_persistent_rule_violation_fails_with_its_rule(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*arguments: Any) -> str:
        return playlists.master_playlist(*arguments).replace("FRAME-RATE=29.970", "FRAME-RATE=60.000")

    monkeypatch.setattr("gostream_worker.publish.presentation.master_playlist", wrong)
    video_id = await worker.upload(clip(clips.long_enough_for_two_segments))
    job = await worker.start(video_id)
    for _ in range(3):
        await worker.attempts.transcode(job)

    video = await worker.video(video_id)
    assert video.failure is not None
    assert (video.status, video.failure.code) == (VideoStatus.FAILED, "INTERNAL")
    assert "master.m3u8" not in await worker.published(video_id)
