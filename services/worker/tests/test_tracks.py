"""Sources with many tracks through the pipeline: every track is published, or listed with a reason."""

import asyncio
import re

import pytest

from gostream_shared.domain.video import Video, VideoStatus

from . import track_clips
from .clips import Clips, Recipe
from .conftest import Worker
from .hls_player import broken_rules, durations
from .publish.test_early_playback import slowly
from .test_copying import planned

pytestmark = pytest.mark.stack


def fates(video: Video) -> list[str]:
    assert video.status is VideoStatus.READY, video.failure
    assert video.publication is not None
    return [f"{track.id} {track.error_code or track.state}" for track in video.publication.tracks]


def media(master: str) -> list[str]:
    """The EXT-X-MEDIA lines without their tag."""
    return [line.partition(":")[2] for line in master.splitlines() if line.startswith("#EXT-X-MEDIA")]


SOUND = 'TYPE=AUDIO,GROUP-ID="audio",'
THREE_LANGUAGES = [
    f'{SOUND}LANGUAGE="de",NAME="Deutsch",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="v1/audio/playlist.m3u8"',
    f'{SOUND}LANGUAGE="en",NAME="English",DEFAULT=NO,AUTOSELECT=YES,CHANNELS="2",URI="v1/audio-en/playlist.m3u8"',
    (
        f'{SOUND}LANGUAGE="fr",NAME="Français (audio description)",DEFAULT=NO,AUTOSELECT=YES,'
        'CHARACTERISTICS="public.accessibility.describes-video",CHANNELS="2",URI="v1/audio-fr/playlist.m3u8"'
    ),
]
TWO_LANGUAGES = [
    f'{SOUND}LANGUAGE="en",NAME="English",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="v1/audio/playlist.m3u8"',
    f'{SOUND}LANGUAGE="de",NAME="Deutsch",DEFAULT=NO,AUTOSELECT=YES,CHANNELS="2",URI="v1/audio-de/playlist.m3u8"',
]
ONE_SOUND = [
    f'{SOUND}NAME="Sound",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="v1/audio/playlist.m3u8"',
]


@pytest.mark.parametrize(
    ("recipe", "lines", "tracks"),
    [
        (
            track_clips.three_languages,
            THREE_LANGUAGES,
            ["audio-1 READY", "audio-2 READY", "audio-3 READY"],
        ),
        (track_clips.two_languages_to_copy, TWO_LANGUAGES, ["audio-1 READY", "audio-2 READY"]),
        (
            track_clips.image_subtitles,
            ONE_SOUND,
            ["audio-1 READY", "subtitles-2 IMAGE_SUBTITLES"],
        ),
        (track_clips.silent_first, ONE_SOUND, ["audio-1 EMPTY_TRACK", "audio-2 READY"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_every_track_is_published_or_has_a_reason(
    worker: Worker, clip: Clips, recipe: Recipe, lines: list[str], tracks: list[str]
) -> None:
    video = await worker.process(clip(recipe))

    assert fates(video) == tracks
    assert media(await worker.master(video.id)) == lines
    assert await broken_rules(await worker.save(video.id)) == []


async def test_every_language_has_its_own_sound(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(track_clips.three_languages))
    master = await worker.save(video.id)
    published = await worker.published(video.id)

    for folder, tone in (("audio-en", 300), ("audio", 600), ("audio-fr", 900)):
        playlist = published[f"v1/{folder}/playlist.m3u8"].decode()
        assert sum(durations(playlist)) == pytest.approx(3, abs=0.1)
        heard = await asyncio.to_thread(track_clips.tone_of, master.parent / f"v1/{folder}/playlist.m3u8")
        assert heard == pytest.approx(tone, rel=0.05)


async def test_copied_languages_equal_the_source(clip: Clips) -> None:
    plan = await planned(clip(track_clips.two_languages_to_copy))

    assert plan.copied is not None
    assert [sound.is_copied for sound in plan.sounds] == [True, True]


@pytest.mark.slow
async def test_early_playback_has_every_language(worker: Worker, clip: Clips) -> None:
    slowly(worker)
    video = await worker.process(clip(track_clips.two_languages_to_copy))
    published = await worker.published(video.id)

    early = published["v1/early.m3u8"].decode()
    assert re.findall(r'TYPE=AUDIO.*URI="([^"]+)"', early) == ["early-audio.m3u8", "early-audio-de.m3u8"]
    assert "#EXT-X-ENDLIST" in published["v1/early-audio-de.m3u8"].decode()
