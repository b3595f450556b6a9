"""Plays real and unusual films through the real edge in ffmpeg, VLC, and Chromium with hls.js."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from gostream.v1 import video_pb2
from gostream_client import AsyncClient
from tests.e2e import films, players
from tests.e2e.conftest import Upload

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300)]
#: Non-fatal hls.js errors. It seeks over the gap between the first decoding time and the first picture, which
#: B-frames cause; a busy machine decodes late; a still picture makes the first append a no-op.
HARMLESS = (
    "bufferSeekOverHole fatal=false",
    "bufferStalledError fatal=false",
    "bufferAppendNoProgress fatal=false, starting",
)
_EVERY_FILM = pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            films.REAL,
            marks=pytest.mark.skipif(not films.REAL_FILM.is_file(), reason="GOSTREAM_REAL_FILM is not set"),
        ),
        *films.UNUSUAL,
    ],
)


@pytest.fixture(scope="session")
def published_videos() -> dict[str, video_pb2.Video]:
    """Videos already published in this session."""
    return {}


@pytest.fixture
async def video(
    name: str, published_videos: dict[str, video_pb2.Video], upload: Upload, tmp_path: Path
) -> video_pb2.Video:
    """The published film of that name."""
    if name not in published_videos:
        published_videos[name] = await upload(await asyncio.to_thread(films.film, name, tmp_path))
    assert published_videos[name].status == video_pb2.Video.STATUS_READY, published_videos[name].error
    return published_videos[name]


@_EVERY_FILM
async def test_ffmpeg_plays_every_variant_to_the_end(name: str, video: video_pb2.Video) -> None:
    decoded = [
        await asyncio.to_thread(players.decode, video.playback_url, number)
        for number in range(len(video.renditions))
    ]

    assert [one.complaints for one in decoded] == [""] * len(decoded)
    assert len({one.frames for one in decoded}) == 1, "variants of different length"
    assert len(decoded) >= 2


@pytest.mark.skipif(not players.VLC, reason="VLC is not installed")
@_EVERY_FILM
async def test_vlc_plays_to_the_end(name: str, video: video_pb2.Video) -> None:
    log = await asyncio.to_thread(players.vlc, video.playback_url)

    assert "EOF reached" in log
    assert re.search(r"VoutDisplayEvent 'resize' \d+x\d+", log), "no picture was shown"
    assert re.findall(r"^.*(?:demux|decoder|stream|input) error.*$", log, re.MULTILINE) == []
    assert bool(re.search(r"Retrieving \S+/audio/\S+\.ts", log)) == (name != "silent")


@pytest.mark.skipif(not players.CHROMIUM, reason="Chromium is not installed")
@pytest.mark.skipif(not players.HLS_JS.exists(), reason="hls.js is not here: make players")
@_EVERY_FILM
async def test_browser_starts_switches_rungs_and_seeks(
    name: str, video: video_pb2.Video, tmp_path: Path
) -> None:
    seen = await players.browse(video.playback_url, tmp_path)

    unexpected = [error for error in seen["errors"] if not error.startswith(HARMLESS)]
    assert unexpected == [], seen
    assert seen["started"], seen
    assert seen["ended"], seen
    rungs = {f"{rung.width}x{rung.height}" for rung in video.renditions}
    assert set(seen["levels"]) == rungs
    assert seen["switches"] == [*seen["levels"], *reversed(seen["levels"])]
    assert seen["corrupted"] == 0
    # The browser's duration runs from the first decoding time to the end of the last audio frame.
    assert abs(seen["duration"] - video.duration.ToTimedelta().total_seconds()) < 0.25
    assert seen["sound"] == (0 if name == "silent" else 1)


@pytest.mark.skipif(not players.CHROMIUM, reason="Chromium is not installed")
@pytest.mark.skipif(not players.HLS_JS.exists(), reason="hls.js is not here: make players")
async def test_browser_switches_languages_and_shows_texts(upload: Upload, tmp_path: Path) -> None:
    video = await upload(await asyncio.to_thread(films.with_languages, tmp_path))
    assert video.status == video_pb2.Video.STATUS_READY, video.error

    seen = await players.browse(video.playback_url, tmp_path / "home")

    # hls.js reports that it stops loading the text before when another one is chosen.
    harmless = (*HARMLESS, "aborted fatal=false")
    assert [error for error in seen["errors"] if not error.startswith(harmless)] == [], seen
    assert seen["ended"], seen
    assert seen["languages"] == ["de", "en", "fr"]
    assert set(seen["cues"]) == {"English", "Deutsch (forced)"}
    for cues in seen["cues"].values():
        times = [time - seen["begins"] for start, end, _ in cues for time in (start, end)]
        assert times == pytest.approx([0.5, 2, 3, 7], abs=0.04)
        assert [text for _, _, text in cues] == ["first &amp; <i>second</i>", "last"]


@pytest.mark.skipif(not players.CHROMIUM, reason="Chromium is not installed")
@pytest.mark.skipif(not players.HLS_JS.exists(), reason="hls.js is not here: make players")
@pytest.mark.parametrize(
    ("make", "languages"), [(films.flac_with_cover, []), (films.sounds_with_languages, ["de", "en"])]
)
async def test_browser_plays_sound_alone(
    make: Callable[[Path], Path], languages: list[str], upload: Upload, tmp_path: Path
) -> None:
    video = await upload(await asyncio.to_thread(make, tmp_path))
    assert video.status == video_pb2.Video.STATUS_READY, video.error
    assert video.media_kind == video_pb2.MEDIA_KIND_AUDIO

    seen = await players.browse(video.playback_url, tmp_path / "home")

    assert [error for error in seen["errors"] if not error.startswith(HARMLESS)] == [], seen
    assert seen["ended"], seen
    assert sorted(seen["levels"]) == sorted(rung.name for rung in video.renditions)
    assert seen["switches"] == [*seen["levels"], *reversed(seen["levels"])]
    assert sorted(seen["languages"]) == languages
    assert abs(seen["duration"] - video.duration.ToTimedelta().total_seconds()) < 0.25


@pytest.mark.skipif(not players.CHROMIUM, reason="Chromium is not installed")
@pytest.mark.skipif(not players.HLS_JS.exists(), reason="hls.js is not here: make players")
async def test_early_playback_continues_to_the_end(
    client: AsyncClient, submit: Upload, tmp_path: Path
) -> None:
    video = await submit(await asyncio.to_thread(films.long_to_encode, tmp_path))
    async with asyncio.timeout(280), aclosing(client.watch(video.id, min_version=video.version)) as states:
        while not video.processing.playable_url:
            video = await anext(states)
        async with players.browse_growing(video.processing.playable_url, tmp_path / "home") as viewer:
            await viewer.started
            assert (await client.get_video(video.id)).status == video_pb2.Video.STATUS_PROCESSING
            async for state in states:
                video = state
            seen = await viewer.report

    assert video.status == video_pb2.Video.STATUS_READY, video.error
    assert [error for error in seen["errors"] if "fatal=true" in error] == [], seen
    assert seen["ended"], seen
    assert abs(seen["duration"] - films.LONG_SECONDS) < 0.25
    assert seen["sound"] == 1
    assert seen["corrupted"] == 0


@_EVERY_FILM
async def test_gostream_verify_finds_no_broken_must(name: str, video: video_pb2.Video) -> None:
    command = [sys.executable, "-m", "gostream_cli", "verify", video.playback_url]

    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=100)

    assert done.returncode == 0, done.stdout + done.stderr
