"""Sources with many tracks through the pipeline: every track is published, or listed with a reason."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from shutil import copy2

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_conformance.formats.subtitles import parse_text
from gostream_shared.domain.video import Video, VideoStatus
from gostream_worker.encode.progress_parser import EncoderProgress
from gostream_worker.encode.run_plan import run_plan
from gostream_worker.publish.measure import measure
from services.worker.tests.clips import Clips, Recipe
from services.worker.tests.conftest import Worker
from services.worker.tests.hls_player import broken_rules, durations
from services.worker.tests.publish.test_early_playback import SlowEncoder, slowly
from services.worker.tests.test_copying import planned
from services.worker.tests.tracks import track_clips
from tests.corpus.pictures import captioned

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

TEXT = 'TYPE=SUBTITLES,GROUP-ID="text",'
MOVIE_TEXT = [
    *ONE_SOUND,
    f'{TEXT}LANGUAGE="en",NAME="English",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI="v1/text-en/playlist.m3u8"',
    (
        f'{TEXT}LANGUAGE="de",NAME="Deutsch (forced)",DEFAULT=NO,AUTOSELECT=YES,FORCED=YES,'
        'URI="v1/text-de/playlist.m3u8"'
    ),
]
MATROSKA_TEXTS = [
    *ONE_SOUND,
    (
        f'{TEXT}LANGUAGE="en",NAME="English (SDH)",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,'
        'CHARACTERISTICS="public.accessibility.transcribes-spoken-dialog,'
        'public.accessibility.describes-music-and-sound",URI="v1/text-en/playlist.m3u8"'
    ),
    f'{TEXT}LANGUAGE="de",NAME="Deutsch",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI="v1/text-de/playlist.m3u8"',
    f'{TEXT}LANGUAGE="es",NAME="Curso",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI="v1/text-es/playlist.m3u8"',
]

CAPTIONS = [
    'TYPE=CLOSED-CAPTIONS,GROUP-ID="captions",NAME="Captions",DEFAULT=NO,AUTOSELECT=YES,INSTREAM-ID="CC1"',
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
        (track_clips.movie_text, MOVIE_TEXT, ["audio-1 READY", "subtitles-2 READY", "subtitles-3 READY"]),
        (
            track_clips.matroska_texts,
            MATROSKA_TEXTS,
            ["audio-1 READY", "subtitles-2 READY", "subtitles-3 READY", "subtitles-4 READY"],
        ),
        (track_clips.silent_first, ONE_SOUND, ["audio-1 EMPTY_TRACK", "audio-2 READY"]),
        (captioned, CAPTIONS, ["captions READY"]),
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


@pytest.mark.parametrize(
    ("recipe", "texts"),
    [(track_clips.movie_text, ["en", "de"]), (track_clips.matroska_texts, ["en", "de", "es"])],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_cues_are_shown_when_the_source_says(
    worker: Worker, clip: Clips, recipe: Recipe, texts: list[str]
) -> None:
    video = await worker.process(clip(recipe))
    published = await worker.published(video.id)

    first_picture = measure(published["v1/180p/00000.ts"]).first_pts
    assert video.publication is not None
    paths = [track.path for track in video.publication.tracks if track.path]
    assert paths == [f"v1/text-{language}/subtitles.vtt" for language in texts]
    for path in paths:
        segment = parse_text(published[path.replace("subtitles", "00000")])
        assert (segment.local, segment.mpegts) == (0, first_picture)
        times = [time for cue in segment.cues for time in (cue.start, cue.end)]
        assert times == pytest.approx([500, 1500, 2000, 2900], abs=40)
        assert [cue.start for cue in parse_text(published[path]).cues] == times[::2]


async def test_drawings_and_markup_are_not_shown_as_text(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(track_clips.matroska_texts))
    published = await worker.published(video.id)

    german, english = (published[f"v1/text-{name}/subtitles.vtt"].decode() for name in ("de", "en"))
    assert "Spoken<i> words</i>\nin two lines" in german
    assert "m 0 0 l" not in german
    assert "First &amp; <i>second</i>" in english
    assert "Third --&gt; fourth" in english


@pytest.mark.parametrize(
    ("recipe", "lines"),
    [
        (track_clips.three_languages, THREE_LANGUAGES),
        (track_clips.movie_text, MOVIE_TEXT),
        (track_clips.matroska_texts, MATROSKA_TEXTS),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_streamed_source_keeps_every_track(
    worker: Worker, clip: Clips, recipe: Recipe, lines: list[str]
) -> None:
    worker.settings = replace(worker.settings, max_copied_bytes=0)

    video = await worker.process(clip(recipe))

    assert not [fate for fate in fates(video) if not fate.endswith("READY")]
    assert media(await worker.master(video.id)) == lines
    assert await broken_rules(await worker.save(video.id)) == []


async def test_damaged_language_does_not_fail_the_film(worker: Worker, clip: Clips) -> None:
    video_id = await worker.upload(clip(track_clips.damaged_second_sound))
    job = await worker.start(video_id)
    for _ in range(3):
        await worker.attempts.transcode(job)

    video = await worker.video(video_id)
    assert fates(video) == ["audio-1 READY", "audio-2 UNREADABLE_AUDIO"]
    assert media(await worker.master(video_id)) == [ONE_SOUND[0].replace("playlist.m3u8", "playlist-3.m3u8")]


async def test_sounds_beyond_the_limit_are_listed(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(track_clips.twelve_sounds))

    expected = [f"audio-{n} {'READY' if n <= 8 else 'TOO_MANY_TRACKS'}" for n in range(1, 13)]
    assert fates(video) == expected
    assert await broken_rules(await worker.save(video.id)) == []


@pytest.mark.slow
async def test_progress_follows_the_picture_beside_text(clip: Clips, tmp_path: Path) -> None:
    source = clip(track_clips.late_text)
    plan = await planned(source)
    for name in plan.renditions:
        (tmp_path / name).mkdir()
    found: list[EncoderProgress] = []

    await run_plan(
        SlowEncoder(Path(get_ffmpeg_exe()), memory=8 << 30),
        plan,
        source=f"file:{copy2(source, tmp_path)}",
        folder=tmp_path,
        attempt=1,
        on_progress=found.append,
    )

    assert len(found) > 1
    assert all((report.position or 0) <= report.frames / 25 for report in found)


@pytest.mark.slow
async def test_early_playback_has_every_language(worker: Worker, clip: Clips) -> None:
    slowly(worker)
    video = await worker.process(clip(track_clips.two_languages_to_copy))
    published = await worker.published(video.id)

    early = published["v1/early.m3u8"].decode()
    assert re.findall(r'TYPE=AUDIO.*URI="([^"]+)"', early) == ["early-audio.m3u8", "early-audio-de.m3u8"]
    assert "#EXT-X-ENDLIST" in published["v1/early-audio-de.m3u8"].decode()
