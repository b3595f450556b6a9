"""Subtitles that are added to a video, from the command line to the edge, through all processes."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from uuid import UUID

import aiohttp
import asyncpg
import pytest

from cli.tests.conftest import Gostream
from cli.tests.conftest import gostream as gostream
from gostream_client import (
    AsyncClient,
    QuotaExceededError,
    SourceUrlRefusedError,
    Track,
    TrackNotFoundError,
)
from gostream_devstack.instance.stack import Stack
from services.worker.tests.ingest.source_server import SourceServer, serving
from tests.e2e.conftest import Upload

pytestmark = pytest.mark.stack

SRT = b"1\n00:00:00,500 --> 00:00:01,500\nGuten Tag\n\n2\n00:00:06,500 --> 00:00:07,500\nTsch\xc3\xbcs\n"


@pytest.fixture
def film_de(tmp_path: Path) -> Path:
    path = tmp_path / "film.de.srt"
    path.write_bytes(SRT)
    return path


async def got(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(url) as answer:
        assert answer.status == 200, url
        return await answer.text()


async def settled(client: AsyncClient, video_id: str, track_id: str) -> Track:
    async with asyncio.timeout(100):
        while True:
            (track,) = [each for each in await client.list_tracks(video_id) if each.id == track_id]
            if track.state != Track.STATE_PREPARING:
                return track
            await asyncio.sleep(0.02)


async def test_caption_is_visible_without_an_encode(
    client: AsyncClient,
    http: aiohttp.ClientSession,
    upload: Upload,
    small_clip: Path,
    film_de: Path,
    stack: Stack,
) -> None:
    video = await upload(small_clip)
    before = await got(http, video.playback_url)  # the edge has it in its cache from now on
    connection = await asyncpg.connect(stack.env["DATABASE_URL"])
    began = monotonic()

    track = await client.upload_track(video.id, film_de, language="de", is_default=True)
    while "added-" not in (master := await got(http, video.playback_url)):
        await asyncio.sleep(0.02)
        assert monotonic() - began < 100
    print(f"visible {monotonic() - began:.2f} s after AddTrack")

    track = await settled(client, video.id, track.id)
    assert (track.state, track.name) == (Track.STATE_READY, "Deutsch")
    after = await client.get_video(video.id)
    assert after.version == video.version + 1
    assert [each.id for each in after.tracks if not each.is_embedded] == [track.id]
    assert "Guten Tag" in await got(http, track.url)
    assert await connection.fetchval("SELECT count(*) FROM encodes WHERE video_id = $1", UUID(video.id)) == 1
    assert await connection.fetchval("SELECT attempt FROM videos WHERE id = $1", UUID(video.id)) == 1
    (line,) = [line for line in master.splitlines() if "TYPE=SUBTITLES" in line]
    assert [each for each in master.splitlines() if each in before.splitlines()][:3] == before.splitlines()[
        :3
    ]
    playlist_url = video.playback_url.rpartition("/")[0] + "/" + line.partition('URI="')[2].rstrip('"')
    playlist = await got(http, playlist_url)
    segments = [each for each in playlist.splitlines() if each.endswith(".vtt")]
    assert len(segments) == 2
    last = await got(http, playlist_url.rpartition("/")[0] + "/" + segments[-1])
    assert "X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000" in last
    assert "Tschüs" in last

    await client.delete_track(video.id, track.id)
    while "added-" in await got(http, video.playback_url):
        await asyncio.sleep(0.02)
    assert await got(http, video.playback_url) == before
    assert "Guten Tag" in await got(http, track.url), "viewers keep it for a day"
    with pytest.raises(TrackNotFoundError):
        await client.delete_track(video.id, track.id)
    await connection.close()


async def test_signed_video_keeps_its_policy(
    client: AsyncClient, http: aiohttp.ClientSession, small_clip: Path, film_de: Path, stack: Stack
) -> None:
    created = await client.upload(small_clip, user_id="e2e", policy="signed")
    started = await client.trigger_process(created.id)
    await client.wait(created.id, min_version=started.version, timeout=300)

    track = await client.upload_track(created.id, film_de, language="de")
    track = await settled(client, created.id, track.id)

    assert (track.state, track.url) == (Track.STATE_READY, "")
    info = await client.get_playback_info(created.id)
    (line,) = [line for line in (await got(http, info.playback_url)).splitlines() if "added-" in line]
    path = line.partition('URI="')[2].rstrip('"')
    assert "#EXTM3U" in await got(http, info.playback_url.rpartition("/")[0] + "/" + path)
    public = f"{stack.env['CDN_BASE_URL']}/hls/{created.id}/{path}"
    async with http.get(public) as answer:
        assert answer.status == 404


@pytest.mark.slow
async def test_concurrent_tracks_reach_the_limit(
    client: AsyncClient, http: aiohttp.ClientSession, upload: Upload, small_clip: Path, film_de: Path
) -> None:
    video = await upload(small_clip)

    async def add(number: int) -> str:
        name = f"Track {number}"
        return (await client.upload_track(video.id, film_de, language="de", name=name)).id

    added = await asyncio.gather(*(add(number) for number in range(18)), return_exceptions=True)

    ids = [each for each in added if isinstance(each, str)]
    assert len(ids) == 16
    assert all(isinstance(each, (str, QuotaExceededError)) for each in added)
    for track_id in ids:
        assert (await settled(client, video.id, track_id)).state == Track.STATE_READY
    assert (await got(http, video.playback_url)).count("/added-") == 16


async def test_hostile_requests_are_refused(client: AsyncClient, upload: Upload, small_clip: Path) -> None:
    video = await client.create_video(title="x", user_id="e2e", size_bytes=4)
    for url in ("http://169.254.169.254/latest", "https://127.0.0.1/a.srt", "file:///etc/passwd"):
        with pytest.raises(SourceUrlRefusedError):
            await client.add_track(video.video.id, language="de", source_url=url)


@pytest.mark.slow
async def test_command_line_adds_lists_and_removes(
    gostream: Gostream, make_stack: Callable[..., Stack], small_clip: Path, film_de: Path, tmp_path: Path
) -> None:
    stack = make_stack(settings={"SOURCE_URL_HTTP": "true", "SOURCE_URL_ALLOW": "127.0.0.1/32"})
    address = {"GOSTREAM_API_ADDR": stack.env["GOSTREAM_API_ADDR"].split(",")[0]}
    spec = f"de:sdh={film_de}"
    ran = await gostream("upload", str(small_clip), "--watch", "--json", "--caption", spec, **address)
    assert ran.code == 0, ran
    video_id = json.loads(ran.stdout.splitlines()[-1])["id"]
    assert "added subtitles de: " in ran.stderr

    bad = tmp_path / "bad.srt"
    bad.write_bytes(b"\0\x01no subtitles\xff" * 100)
    async with serving(SourceServer(SRT)) as server:
        ran = await gostream(
            "tracks", "add", video_id, f"fr={server.url}", f"it={bad}", "--timeout", "60", **address
        )
    assert ran.code == 1
    assert "not published: it: UNREADABLE_SUBTITLES" in ran.stderr

    ran = await gostream("tracks", "ls", video_id, "--json", **address)
    added = [track for track in json.loads(ran.stdout)["tracks"] if not track["is_embedded"]]
    assert [(track["language"], track["state"], track["is_sdh"]) for track in added] == [
        ("de", "STATE_READY", True),
        ("fr", "STATE_READY", False),
        ("it", "STATE_FAILED", False),
    ]
    ran = await gostream("tracks", "rm", video_id, added[2]["id"], **address)
    assert ran.code == 0, ran
    ran = await gostream("tracks", "ls", video_id, **address)
    assert ran.stdout.count("\n") == 1 + 2, ran.stdout
    ran = await gostream("upload", str(small_clip), "--caption", "de=missing.srt", **address)
    assert ran.code == 2
    assert "missing.srt cannot be read" in ran.stderr
