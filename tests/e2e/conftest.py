"""Fixtures of the end-to-end tests: a client of the running stack, and a small video."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from gostream.v1 import video_pb2
from gostream_client import AsyncClient
from gostream_devstack.instance.stack import Stack

Upload = Callable[[Path], Awaitable[video_pb2.Video]]


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[AsyncClient]:
    """A client of the first replica."""
    async with AsyncClient(stack.env["GOSTREAM_API_ADDR"].split(",")[0]) as client:
        yield client


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


@pytest.fixture(scope="session")
def small_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 s of 640×360 with a tone; encodes to two segments."""
    path = tmp_path_factory.mktemp("clips") / "small.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=8"]
    sound = ["-f", "lavfi", "-i", "sine=duration=8:sample_rate=48000"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    subprocess.run(
        [get_ffmpeg_exe(), "-nostdin", "-v", "error", *picture, *sound, *coding, str(path)],
        check=True,
        timeout=120,
    )
    return path


@pytest.fixture
def long_clip(tmp_path: Path) -> Path:
    """A film of 60 s, still being encoded when its first segments are stored."""
    path = tmp_path / "long.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=60"]
    coding = ["-c:v", "mpeg4", "-q:v", "4"]
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", *picture, *coding, str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path


@pytest.fixture
def submit(client: AsyncClient) -> Upload:
    """Uploads a file and requests processing. Returns the video at that moment."""

    async def upload_and_process(path: Path) -> video_pb2.Video:
        created = await client.upload(path, user_id="e2e")
        return await client.trigger_process(created.id)

    return upload_and_process


@pytest.fixture
def upload(client: AsyncClient, submit: Upload) -> Upload:
    """Uploads a file and waits until its processing ends."""

    async def to_the_end(path: Path) -> video_pb2.Video:
        video = await submit(path)
        async with (
            asyncio.timeout(100),
            aclosing(client.watch(video.id, min_version=video.version)) as states,
        ):
            async for state in states:
                video = state
        return video

    return to_the_end
