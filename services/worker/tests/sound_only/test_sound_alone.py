"""Sources without a picture through the pipeline."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gostream_conformance.formats.jpeg import jpeg_size
from gostream_shared.domain.video import MediaKind, Video, VideoStatus
from gostream_shared.domain.videos.options import EncodeOptions
from services.worker.tests.clips import Clips, Recipe
from services.worker.tests.conftest import Worker
from services.worker.tests.hls_player import broken_rules, durations
from services.worker.tests.sound_only import sound_clips

pytestmark = pytest.mark.stack
LOW = ["128k", "64k"]
ALL = ["256k", "128k", "64k"]


def tracks(video: Video) -> list[str]:
    assert video.publication is not None
    return [f"{track.id} {track.error_code or track.state}" for track in video.publication.tracks]


@pytest.mark.parametrize(
    ("recipe", "rungs", "fates"),
    [
        (sound_clips.mp3, LOW, ["audio-0 READY"]),
        (sound_clips.flac_with_cover, ALL, ["audio-0 READY"]),
        (sound_clips.m4a_with_chapters, LOW, ["audio-0 READY", "chapters UNSUPPORTED_CHAPTERS"]),
        (sound_clips.opus_in_webm, LOW, ["audio-0 READY"]),
        (sound_clips.vorbis_in_ogg, LOW, ["audio-0 READY"]),
        (sound_clips.wav, ALL, ["audio-0 READY"]),
        (sound_clips.wav_of_unknown_length, ALL, ["audio-0 READY"]),
        (sound_clips.surround_flac, ALL, ["audio-0 READY"]),
        (sound_clips.narrow_wav, ["64k"], ["audio-0 READY"]),
        (sound_clips.mp3_with_large_tag, LOW, ["audio-0 READY"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_sound_alone_is_published(
    worker: Worker, clip: Clips, recipe: Recipe, rungs: list[str], fates: list[str]
) -> None:
    video = await worker.process(clip(recipe))

    assert video.status is VideoStatus.READY, video.failure
    assert video.publication is not None
    assert video.publication.media_kind is MediaKind.AUDIO
    assert [rung.name for rung in video.publication.renditions] == rungs
    assert tracks(video) == fates
    assert video.publication.storyboard is None
    assert await broken_rules(await worker.save(video.id)) == []
    assert video.publication.loudness is not None
    assert video.publication.loudness.integrated_lufs < 0
    assert "RESOLUTION" not in await worker.master(video.id)
    published = await worker.published(video.id)
    for rung in rungs:
        playlist = published[f"v1/{rung}/playlist.m3u8"].decode()
        assert sum(durations(playlist)) == pytest.approx(sound_clips.SECONDS, abs=0.1)


async def test_every_language_has_every_rate(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(sound_clips.two_languages))

    assert tracks(video) == ["audio-0 READY", "audio-1 READY"]
    lines = (await worker.master(video.id)).splitlines()
    assert [line.partition("NAME=")[2] for line in lines if "EXT-X-MEDIA" in line] == [
        f'"{name}",DEFAULT={default},AUTOSELECT=YES,CHANNELS="2",URI="v1/{folder}/playlist.m3u8"'
        for rate in LOW
        for name, default, folder in (("English", "YES", rate), ("Deutsch", "NO", f"{rate}-de"))
    ]
    assert [line.rpartition(",")[2] for line in lines if "STREAM-INF" in line] == [
        f'AUDIO="audio-{rate}"' for rate in LOW
    ]
    assert await broken_rules(await worker.save(video.id)) == []


@pytest.mark.parametrize(
    ("recipe", "size"),
    [
        (sound_clips.flac_with_cover, (300, 200)),
        (sound_clips.mp3_with_cover, (300, 200)),
        (sound_clips.flac_with_large_cover, (1280, 640)),
        (sound_clips.flac_with_huge_cover, None),
        (sound_clips.mp3_with_wrong_cover, None),
        (sound_clips.mp3, None),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_poster_is_a_cover_that_decodes(
    worker: Worker, clip: Clips, recipe: Recipe, size: tuple[int, int] | None
) -> None:
    video = await worker.process(clip(recipe))

    assert video.publication is not None, video.failure
    assert video.publication.poster == ("v1/poster.jpg" if size else None)
    published = await worker.published(video.id)
    assert (jpeg_size(published["v1/poster.jpg"]) if size else None) == size


@pytest.mark.parametrize(
    "recipe",
    [sound_clips.mp3, sound_clips.flac_with_cover, sound_clips.m4a_with_chapters, sound_clips.opus_in_webm],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_streamed_sound_is_published(worker: Worker, clip: Clips, recipe: Recipe) -> None:
    worker.settings = replace(worker.settings, max_copied_bytes=0)

    video = await worker.process(clip(recipe))

    assert video.publication is not None, video.failure
    assert video.publication.duration.total_seconds() == pytest.approx(sound_clips.SECONDS, abs=0.1)
    assert await broken_rules(await worker.save(video.id)) == []


async def test_damaged_language_does_not_fail_the_sound(worker: Worker, clip: Clips) -> None:
    video_id = await worker.upload(clip(sound_clips.damaged_second_language))
    job = await worker.start(video_id)
    for _ in range(3):
        await worker.attempts.transcode(job)

    assert tracks(await worker.video(video_id)) == ["audio-0 READY", "audio-1 UNREADABLE_AUDIO"]


@pytest.mark.parametrize(
    "options", [EncodeOptions(start=timedelta(seconds=1)), EncodeOptions(end=timedelta(seconds=3))], ids=repr
)
async def test_part_of_sound_alone_fails(worker: Worker, clip: Clips, options: EncodeOptions) -> None:
    video_id = await worker.upload(clip(sound_clips.mp3))
    await worker.attempts.transcode(await worker.start(video_id, options=options))

    video = await worker.video(video_id)
    assert video.failure is not None
    assert (video.failure.code, video.failure.retryable) == ("CLIP", False)
    assert video.failure.message == "start and end need a source with a picture."
    assert await worker.published(video_id) == {}
