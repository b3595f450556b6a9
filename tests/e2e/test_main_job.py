"""The main job end to end: real servers, public interfaces only."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Awaitable
from pathlib import Path
from urllib.parse import urljoin
from uuid import uuid4

import aiohttp
import av
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from gostream.v1 import video_pb2
from gostream_client import AsyncClient, GoStreamError, VideoNotFoundError
from gostream_devstack.instance.stack import Stack
from tests.e2e.conftest import Upload
from tests.e2e.films import REAL_FILM

pytestmark = pytest.mark.stack
READY = video_pb2.Video.STATUS_READY
FAILED = video_pb2.Video.STATUS_FAILED


async def fetch(http: aiohttp.ClientSession, url: str) -> tuple[str, bytes]:
    """Returns (X-Cache-Status, body). Asserts status 200."""
    async with http.get(url) as answer:
        assert answer.status == 200, f"{url}: {answer.status}"
        return answer.headers["X-Cache-Status"], await answer.read()


def uris(playlist: bytes) -> list[str]:
    """Every URI that a player follows, including audio groups."""
    text = playlist.decode()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return lines + re.findall(r'#EXT-X-MEDIA:[^\n]*URI="([^"]+)"', text)


async def test_upload_becomes_a_stream_cached_by_edge(
    stack: Stack, http: aiohttp.ClientSession, client: AsyncClient, upload: Upload, small_clip: Path
) -> None:
    video = await upload(small_clip)

    assert video.status == READY
    assert video.playback_url == f"{stack.env['CDN_BASE_URL']}/hls/{video.id}/master.m3u8"
    assert await client.get_video(video.id, min_version=video.version) == video

    _, master = await fetch(http, video.playback_url)
    playlists = [urljoin(video.playback_url, uri) for uri in uris(master)]
    assert len(playlists) >= 2
    for playlist in playlists:
        _, text = await fetch(http, playlist)
        segments = [urljoin(playlist, uri) for uri in uris(text)]
        assert len(segments) == 2
        first = [await fetch(http, segment) for segment in segments]
        second = [await fetch(http, segment) for segment in segments]
        assert [status for status, _ in second] == ["HIT", "HIT"]
        assert [body for _, body in first] == [body for _, body in second]
        assert (await fetch(http, playlist))[0] == "HIT"
    assert (await fetch(http, video.playback_url))[0] == "HIT"

    _, cues = await fetch(http, video.storyboard_url)
    named = set(re.findall(r"^(\S+)#xywh=", cues.decode(), re.MULTILINE))
    sheets = [urljoin(video.storyboard_url, uri) for uri in named]
    assert [(await fetch(http, sheet))[1][:2] for sheet in sheets] == [b"\xff\xd8"]


async def test_json_edge_matches_grpc(
    stack: Stack, http: aiohttp.ClientSession, upload: Upload, small_clip: Path
) -> None:
    video = await upload(small_clip)

    async with http.get(f"{stack.env['GOSTREAM_HTTP_URL']}/v1/videos/{video.id}") as answer:
        document = await answer.json()

    assert answer.status == 200
    assert document["id"] == video.id
    assert document["status"] == "STATUS_READY"
    assert document["playback_url"] == video.playback_url
    assert document["storyboard_url"] == video.storyboard_url
    assert document["version"] == str(video.version)


async def test_unknown_id_is_not_found_with_reason(
    stack: Stack, http: aiohttp.ClientSession, client: AsyncClient
) -> None:
    unknown = str(uuid4())

    with pytest.raises(VideoNotFoundError) as error:
        await client.get_video(unknown)
    async with http.get(f"{stack.env['GOSTREAM_HTTP_URL']}/v1/videos/{unknown}") as answer:
        document = await answer.json()

    assert error.value.reason == "VIDEO_NOT_FOUND"
    assert (answer.status, document["code"]) == (404, 5)
    assert "VIDEO_NOT_FOUND" in [detail.get("reason") for detail in document["details"]]


async def test_reflection_serves_a_generic_grpc_client(stack: Stack) -> None:
    url = f"http://{stack.env['GOSTREAM_API_ADDR'].split(',')[0]}"
    buf = [
        str(Path(sys.executable).with_name("buf")),
        "curl",
        "--http2-prior-knowledge",
        "--protocol",
        "grpc",
    ]

    async def run(*arguments: str) -> str:
        done = await asyncio.to_thread(
            subprocess.run, [*buf, *arguments], capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    assert "gostream.v1.VideoService" in await run("--list-services", url)
    listed = json.loads(await run("-d", '{"page_size":1}', f"{url}/gostream.v1.VideoService/ListVideos"))
    assert "videos" in listed


async def test_text_file_fails_permanently_with_reason(upload: Upload, tmp_path: Path, stack: Stack) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("This is not a video.\n" * 100)

    video = await upload(path)

    assert video.status == FAILED
    assert video.error.code == "SOURCE_NOT_MEDIA"
    assert not video.error.retryable
    assert video.error.message
    assert not video.playback_url
    attempts = await _attempts(stack, video.id)
    assert attempts == 1, "a permanent failure must not be tried again"


async def _reason(call: Awaitable[object]) -> str:
    """Returns the error's reason, or "" if the call succeeds."""
    try:
        await call
    except GoStreamError as error:
        return error.reason
    return ""


async def _attempts(stack: Stack, video_id: str) -> int:
    import asyncpg

    connection = await asyncpg.connect(stack.env["DATABASE_URL"])
    try:
        return int(await connection.fetchval("SELECT attempt FROM videos WHERE id = $1", video_id))
    finally:
        await connection.close()


async def test_command_line_uploads_and_waits_for_ready(stack: Stack, small_clip: Path) -> None:
    command = [sys.executable, "-m", "gostream_cli", "upload", str(small_clip), "--watch", "--json"]

    done = await asyncio.to_thread(
        subprocess.run,
        command,
        env={"GOSTREAM_API_ADDR": stack.env["GOSTREAM_API_ADDR"], "PATH": ""},
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "STATUS_READY"


async def test_deleted_video_disappears_from_every_replica(
    stack: Stack, client: AsyncClient, upload: Upload, small_clip: Path
) -> None:
    video = await upload(small_clip)

    await client.delete_video(video.id)

    for address in stack.env["GOSTREAM_API_ADDR"].split(","):
        async with AsyncClient(address) as replica, asyncio.timeout(5):
            while await _reason(replica.get_video(video.id)) != "VIDEO_NOT_FOUND":
                await asyncio.sleep(0.02)


@pytest.mark.skipif(not REAL_FILM.is_file(), reason="GOSTREAM_REAL_FILM is not set")
async def test_real_film_gets_a_fitting_decodable_ladder(upload: Upload, stack: Stack) -> None:
    with av.open(str(REAL_FILM)) as film:
        stream = film.streams.video[0]
        frames, fps = stream.frames, float(stream.average_rate or 0)
        width, height = stream.width, stream.height

    video = await upload(REAL_FILM)

    assert video.status == READY
    top = min(width, height, 1080) // 2 * 2
    assert max(min(rung.width, rung.height) for rung in video.renditions) == top
    ffmpeg = [get_ffmpeg_exe(), "-nostdin", "-v", "warning", "-i", video.playback_url]
    for number in range(len(video.renditions)):
        done = await asyncio.to_thread(
            subprocess.run,
            [*ffmpeg, "-map", f"0:p:{number}", "-progress", "pipe:1", "-f", "null", "-"],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert "error" not in done.stderr.lower(), done.stderr
        decoded = int(re.findall(r"^frame=(\d+)", done.stdout, re.MULTILINE)[-1])
        assert abs(decoded - frames) <= 1
    assert abs(video.duration.ToTimedelta().total_seconds() - frames / fps) <= 1 / fps
