"""Added subtitles in Chromium with hls.js."""

import asyncio
from pathlib import Path

import pytest

from gostream.v1.video_pb2 import Track
from gostream_client import AsyncClient
from tests.e2e import players
from tests.e2e.conftest import Upload

pytestmark = [
    pytest.mark.stack,
    pytest.mark.slow,
    pytest.mark.skipif(not players.CHROMIUM, reason="Chromium is not installed"),
    pytest.mark.skipif(not players.HLS_JS.exists(), reason="hls.js is not here: make players"),
]
SRT = "1\n00:00:00,500 --> 00:00:02,000\nfirst & <i>second</i>\n\n2\n00:00:05,000 --> 00:00:07,000\nlast\n"


async def test_browser_shows_added_cues_in_time(
    client: AsyncClient, upload: Upload, small_clip: Path, tmp_path: Path
) -> None:
    video = await upload(small_clip)
    file = tmp_path / "film.srt"
    file.write_text(SRT)
    track = await client.upload_track(video.id, file, language="en")
    async with asyncio.timeout(100):
        while track.state == Track.STATE_PREPARING:
            (track,) = [each for each in await client.list_tracks(video.id) if each.id == track.id]
            await asyncio.sleep(0.02)

    seen = await players.browse(video.playback_url, tmp_path / "home")

    assert [error for error in seen["errors"] if "fatal=true" in error] == [], seen
    assert seen["ended"], seen
    (cues,) = seen["cues"].values()
    times = [time - seen["begins"] for start, end, _ in cues for time in (start, end)]
    assert times == pytest.approx([0.5, 2, 5, 7], abs=0.04)
    assert [text for _, _, text in cues] == ["first &amp; <i>second</i>", "last"]
