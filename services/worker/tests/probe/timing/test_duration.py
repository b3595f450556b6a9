"""The duration of a source."""

import pytest

from gostream_shared.domain.video import VideoStatus
from gostream_worker.failures import Code
from gostream_worker.probe.model import Probe
from gostream_worker.probe.probe import probe_source
from services.worker.tests import clips, odd_lengths
from services.worker.tests.clips import Clips, Recipe
from services.worker.tests.conftest import Worker
from services.worker.tests.hls_player import broken_rules, durations
from tests.support.quick import first_quick

THREE_SECONDS = [
    clips.plain,
    clips.late_sound,
    odd_lengths.late_matroska,
    odd_lengths.late_live_webm,
    odd_lengths.longer_subtitles,
    odd_lengths.longer_second_sound,
    odd_lengths.clock_ahead,
    odd_lengths.clock_back,
]
SHORT_PICTURES = [
    odd_lengths.cover,
    odd_lengths.cover_in_matroska,
    odd_lengths.recording_of_a_still_screen,
]


@pytest.mark.parametrize("recipe", first_quick(THREE_SECONDS, 4), ids=lambda recipe: recipe.__name__)
async def test_duration_covers_picture_and_sound(clip: Clips, recipe: Recipe) -> None:
    assert await seconds(clip, recipe) == pytest.approx(3, abs=0.1)


async def test_durations_of_restarted_clocks_are_added(clip: Clips) -> None:
    assert await seconds(clip, odd_lengths.clock_again_and_again) == pytest.approx(30, abs=1)


@pytest.mark.parametrize(
    ("recipe", "said"), [(clips.cut_matroska, 3), (odd_lengths.cut_matroska_with_subtitles, 62)]
)
async def test_truncated_matroska_keeps_its_declared_duration(
    clip: Clips, recipe: Recipe, said: float
) -> None:
    assert await seconds(clip, recipe) == pytest.approx(said, abs=0.1)


@pytest.mark.stack
@pytest.mark.parametrize("recipe", first_quick(THREE_SECONDS[2:]), ids=lambda recipe: recipe.__name__)
async def test_header_duration_of_other_tracks_is_ignored(
    worker: Worker, clip: Clips, recipe: Recipe
) -> None:
    video = await worker.process(clip(recipe))

    assert video.status is VideoStatus.READY, video.failure
    assert video.publication is not None
    assert video.publication.duration.total_seconds() == pytest.approx(3, abs=0.1)


@pytest.mark.stack
async def test_truncated_source_with_subtitles_is_refused(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(odd_lengths.cut_matroska_with_subtitles))

    assert video.failure is not None
    assert video.failure.code == Code.TRUNCATED


@pytest.mark.stack
@pytest.mark.parametrize("recipe", first_quick(SHORT_PICTURES), ids=lambda recipe: recipe.__name__)
async def test_last_frame_is_held_until_the_sound_ends(worker: Worker, clip: Clips, recipe: Recipe) -> None:
    video = await worker.process(clip(recipe))

    assert video.publication is not None, video.failure
    assert video.publication.duration.total_seconds() == pytest.approx(12, abs=0.1)
    published = await worker.published(video.id)
    ends = [sum(durations(published[f"v1/{name}/playlist.m3u8"].decode())) for name in ("180p", "audio")]
    assert ends == pytest.approx([12, 12], abs=0.1)
    assert await broken_rules(await worker.save(video.id)) == []


@pytest.mark.stack
async def test_held_picture_does_not_hide_truncated_sound(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(odd_lengths.cut_cover))

    assert video.failure is not None
    assert video.failure.code == Code.TRUNCATED


async def test_stale_duration_tag_does_not_extend_the_picture(clip: Clips) -> None:
    assert (await probed(clip, odd_lengths.stale_tag)).picture_ends == pytest.approx(3, abs=0.1)


async def test_late_picture_keeps_its_start_time(clip: Clips) -> None:
    found = await probed(clip, odd_lengths.late_picture)

    assert found.duration == pytest.approx(12, abs=0.1)
    assert not found.ignores_edits, "the picture would start at zero"


async def probed(clip: Clips, recipe: Recipe) -> Probe:
    path = clip(recipe)
    return await probe_source(f"file:{path}", folder=path.parent)


async def seconds(clip: Clips, recipe: Recipe) -> float:
    return (await probed(clip, recipe)).duration
