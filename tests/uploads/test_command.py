"""`gostream upload` of large files: killed, interrupted and resumed, as processes."""

import asyncio
import os
import random
import re
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gostream.v1.upload_pb2 import UploadSession
from gostream_client import AsyncClient
from gostream_client.upload.session_calls import UploadCalls
from gostream_shared.storage.s3 import S3ObjectStore
from tests.support.tcp_proxy import Proxy
from tests.support.waiting import eventually

from .conftest import MIB, PART, film, sha256, size_of, stored

#: MiB of the file that is killed at random points, and the number of kills; 1024 and 10 for the whole proof.
SIZE = int(os.environ.get("GOSTREAM_UPLOAD_TEST_MIB", "80")) * MIB
KILLS = int(os.environ.get("GOSTREAM_UPLOAD_TEST_KILLS", "4"))
_ID = re.compile(r"created ([0-9a-f-]{36})")
#: Bytes of HTTP around a part.
_HEADS = 4096

Start = Callable[..., Awaitable["Gostream"]]


class Gostream:
    """One `gostream` process. `log` has its notes."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def notes(self) -> str:
        return self.log.read_text()

    async def ends(self) -> int:
        async with asyncio.timeout(500):
            return await self.process.wait()

    async def video_id(self) -> str:
        await eventually(lambda: _ID.search(self.notes) or self.process.returncode is not None)
        found = _ID.search(self.notes)
        assert found, self.notes
        return found[1]


@pytest.fixture
def start(address: str, tmp_path: Path) -> Start:
    """A function that starts `gostream upload`, each from a separate home."""
    count = 0

    async def run(*arguments: str) -> Gostream:
        nonlocal count
        count += 1
        home = tmp_path / f"home-{count}"
        home.mkdir()
        with (home / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gostream_cli", "upload", *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=home,
                env={"PATH": os.defpath, "HOME": str(home), "GOSTREAM_API_ADDR": address},
            )
        return Gostream(process, home / "log")

    return run


async def until_passed(proxy: Proxy, count: int, running: Gostream) -> None:
    """Waits until clients have sent this many bytes."""
    await eventually(lambda: proxy.to_server.passed >= count or running.process.returncode is not None)
    assert running.process.returncode is None, running.notes


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("parallel", [1, 4])
async def test_killed_uploads_continue_where_they_were(
    start: Start, client: AsyncClient, store: S3ObjectStore, proxy: Proxy, tmp_path: Path, parallel: int
) -> None:
    path, dice = film(tmp_path / "film.mp4", SIZE), random.Random(parallel)
    options = ("--no-process", "--parallel", str(parallel))
    running = await start(str(path), *options)
    video_id = await running.video_id()
    # Each kill comes at least a part after the one before, so that the upload ends.
    points = sorted(dice.randrange(PART, SIZE - PART) for _ in range(KILLS))
    for point in points:
        await until_passed(proxy, max(point, proxy.to_server.passed), running)
        if running.process.returncode is None:
            running.process.kill()
        await running.ends()
        running = await start("--resume", video_id, str(path), *options)

    assert await running.ends() == 0, running.notes

    heads = 2 * _HEADS * (SIZE // PART + (KILLS + 1) * parallel)
    assert proxy.to_server.passed <= SIZE + KILLS * parallel * PART + heads
    assert await stored(store, video_id) == sha256(path)
    assert (await UploadCalls(client._answer).get(video_id)).state == UploadSession.STATE_COMPLETED


@pytest.mark.faults
async def test_interrupted_upload_prints_how_to_continue(
    start: Start, store: S3ObjectStore, proxy: Proxy, tmp_path: Path
) -> None:
    path = film(tmp_path / "my film.mp4", 4 * PART)
    running = await start(str(path), "--no-process", "--parallel", "1")
    video_id = await running.video_id()
    await until_passed(proxy, PART + MIB, running)
    running.process.send_signal(signal.SIGINT)

    assert await running.ends() == 130
    [line] = [line for line in running.notes.splitlines() if "continue with:" in line]
    command = shlex.split(line.partition("continue with: ")[2])
    assert command == ["gostream", "upload", "--resume", video_id, str(path)]
    again = await start(*command[2:], "--no-process")
    assert await again.ends() == 0, again.notes

    assert proxy.to_server.passed <= size_of(path) + PART + 16 * _HEADS
    assert await stored(store, video_id) == sha256(path)


async def test_small_file_is_sent_by_one_put(start: Start, client: AsyncClient, tmp_path: Path) -> None:
    running = await start(str(film(tmp_path / "film.mp4", MIB)), "--no-process")

    assert await running.ends() == 0, running.notes
    with pytest.raises(Exception, match="has no upload session"):
        await UploadCalls(client._answer).get(await running.video_id())


@pytest.mark.slow
async def test_resume_excludes_options_of_new_videos(start: Start, tmp_path: Path) -> None:
    running = await start("--resume", "x", "--title", "t", str(film(tmp_path / "film.mp4", MIB)))

    assert await running.ends() == 2
    assert "--resume excludes" in running.notes
