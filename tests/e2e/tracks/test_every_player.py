"""Sources with many tracks, and sound alone, through the edge in ffmpeg, VLC, hls.js and Shaka Player."""

import asyncio
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gostream.v1 import video_pb2
from services.worker.tests.clips import Recipe
from services.worker.tests.sound_only import sound_clips
from services.worker.tests.tracks import track_clips
from tests.corpus.pictures import captioned
from tests.e2e import players
from tests.e2e.conftest import Upload
from tests.e2e.test_players import HARMLESS

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300)]
needs_chromium = pytest.mark.skipif(not players.CHROMIUM, reason="Chromium is not installed")


#: Seconds. Shaka Player 4.16 counts cues from the first decoding time, and pictures from the first of them.
SHAKA_LATE = 0.08


@dataclass(frozen=True)
class Input:
    """A source, its sounds by language if there are several, and its texts by name with their times."""

    recipe: Recipe
    languages: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    times: tuple[float, ...] = (0.5, 1.5, 2.0, 2.9)
    is_sound: bool = False
    is_silent: bool = False


def flashes(seconds: int) -> tuple[float, ...]:
    return tuple(float(time) for time in range(2, seconds) if time < seconds - 1 or time % 2)


INPUTS = (
    Input(track_clips.movie_text, texts=("Deutsch (forced)", "English")),
    Input(track_clips.matroska_texts, texts=("Curso", "Deutsch", "English (SDH)")),
    Input(track_clips.image_subtitles),
    Input(track_clips.three_languages, languages=("de", "en", "fr")),
    Input(track_clips.silent_first),
    Input(captioned, is_silent=True),
    Input(track_clips.in_step, languages=("de", "en", "fr"), texts=("English",), times=flashes(12)),
    Input(track_clips.long_in_step, languages=("de", "en", "fr"), texts=("English",), times=flashes(44)),
    Input(sound_clips.mp3, is_sound=True),
    Input(sound_clips.flac_with_cover, is_sound=True),
    Input(sound_clips.m4a_with_chapters, is_sound=True),
    Input(sound_clips.opus_in_webm, is_sound=True),
    Input(sound_clips.two_languages, languages=("de", "en"), is_sound=True),
)
every_input = pytest.mark.parametrize("source", INPUTS, ids=lambda source: source.recipe.__name__)


@pytest.fixture(scope="session")
def published_videos() -> dict[str, video_pb2.Video]:
    """Videos already published in this session."""
    return {}


@pytest.fixture
async def video(
    source: Input, published_videos: dict[str, video_pb2.Video], upload: Upload, tmp_path: Path
) -> video_pb2.Video:
    name = source.recipe.__name__
    if name not in published_videos:
        published_videos[name] = await upload(await asyncio.to_thread(source.recipe, tmp_path))
    assert published_videos[name].status == video_pb2.Video.STATUS_READY, published_videos[name].error
    return published_videos[name]


def require_cues(source: Input, seen: dict[str, Any]) -> None:
    assert sorted(seen["cues"]) == sorted(source.texts)
    for name, cues in seen["cues"].items():
        times = [time - seen["begins"] for start, end, _ in sorted(cues) for time in (start, end)]
        # Players read the segments of a text as they play on.
        assert len(times) >= 4, (name, times)
        assert times == pytest.approx(source.times[: len(times)], abs=0.04), name


@every_input
async def test_ffmpeg_plays_to_the_end(source: Input, video: video_pb2.Video) -> None:
    decoded = await asyncio.to_thread(players.decode, video.playback_url, 0)

    assert decoded.complaints == ""


@pytest.mark.skipif(not players.VLC, reason="VLC is not installed")
@every_input
async def test_vlc_plays_to_the_end(source: Input, video: video_pb2.Video) -> None:
    log = await asyncio.to_thread(players.vlc, video.playback_url)

    assert "EOF reached" in log
    assert bool(re.search(r"VoutDisplayEvent 'resize' \d+x\d+", log)) != source.is_sound
    assert re.findall(r"^.*(?:demux|decoder|stream|input) error.*$", log, re.MULTILINE) == []


@needs_chromium
@pytest.mark.skipif(not players.HLS_JS.exists(), reason="hls.js is not here: make players")
@every_input
async def test_hls_js_plays_every_language_and_text(
    source: Input, video: video_pb2.Video, tmp_path: Path
) -> None:
    seen = await players.browse(video.playback_url, tmp_path / "home")

    # hls.js reports that it stops loading the text before when another one is chosen.
    harmless = (*HARMLESS, "aborted fatal=false")
    assert [error for error in seen["errors"] if not error.startswith(harmless)] == [], seen
    assert seen["ended"], seen
    assert tuple(sorted(seen["languages"])) == source.languages
    require_cues(source, seen)


@needs_chromium
@pytest.mark.skipif(not players.SHAKA.exists(), reason="Shaka Player is not here: make players")
@every_input
async def test_shaka_plays_every_language_and_text(
    source: Input, video: video_pb2.Video, tmp_path: Path
) -> None:
    seen = await players.browse_with_shaka(video.playback_url, tmp_path / "home")

    assert seen["errors"] == [], seen
    assert seen["ended"], seen
    if source.languages:
        assert tuple(sorted(seen["languages"])) == source.languages
    if not source.is_sound:  # variants of sound do not say
        assert set(seen["channels"]) == (set() if source.is_silent else {2})
    assert seen.get("flash", 2) == pytest.approx(2, abs=0.041)
    require_cues(source, {**seen, "begins": SHAKA_LATE})


@every_input
async def test_verify_finds_no_broken_must(source: Input, video: video_pb2.Video) -> None:
    command = [sys.executable, "-m", "gostream_cli", "verify", video.playback_url]

    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=100)

    assert done.returncode == 0, done.stdout + done.stderr
