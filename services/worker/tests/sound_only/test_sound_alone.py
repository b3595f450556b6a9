"""Sources without a picture through the pipeline."""

import pytest

from gostream_shared.domain.video import MediaKind, Video, VideoStatus
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
    print(video.publication)
    print(await worker.master(video.id))
    published = await worker.published(video.id)
    for rung in rungs:
        playlist = published[f"v1/{rung}/playlist.m3u8"].decode()
        assert sum(durations(playlist)) == pytest.approx(sound_clips.SECONDS, abs=0.1)
