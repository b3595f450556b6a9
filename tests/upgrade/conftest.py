"""Fixtures: both releases over one database that this release has migrated."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_client import AsyncClient
from gostream_devstack.host.ports import Ports
from gostream_devstack.instance.stack import Stack
from gostream_devstack.servers.server import Server
from tests.upgrade.previous import PreviousApi, PreviousWorker, programs


class Releases(NamedTuple):
    """The stack of this release, and a replica of the previous one next to it."""

    stack: Stack
    previous_api: PreviousApi
    previous_worker: PreviousWorker

    @property
    def workers(self) -> list[Server]:
        """The workers of this release."""
        return list(self.stack.workers)


class Clients(NamedTuple):
    """A client of each API replica: one of the previous release, two of this one."""

    previous: AsyncClient
    this: AsyncClient
    other: AsyncClient


@pytest.fixture(scope="module")
def releases(stack: Stack) -> Iterator[Releases]:
    """Both APIs serve. No worker runs: each test says which."""
    programs()
    ports, this = Ports({}), stack.apis[0]
    numbers = [ports.pick(name) for name in ("api", "reads", "api metrics", "worker", "worker metrics")]
    api = PreviousApi(
        this.directories, "previous-api", numbers[0], numbers[2], this.settings, read_port=numbers[1]
    )
    worker = PreviousWorker(
        this.directories, "previous-worker", numbers[3], numbers[4], stack.workers[0].settings
    )
    both = Releases(stack, api, worker)
    with stopped(*both.workers):
        try:
            api.start(timeout=300)
            yield both
        finally:
            api.stop()


@contextmanager
def stopped(*servers: Server) -> Iterator[None]:
    """Stops these servers and starts them again at the end."""
    for server in servers:
        server.stop()
    try:
        yield
    finally:
        for server in servers:
            server.start(timeout=300)


@contextmanager
def started(*servers: Server) -> Iterator[None]:
    """Starts these servers and stops them at the end."""
    try:
        for server in servers:
            server.start(timeout=300)
        yield
    finally:
        for server in servers:
            server.stop()


@pytest.fixture
async def clients(releases: Releases) -> AsyncIterator[Clients]:
    this, other = (api.address for api in releases.stack.apis)
    async with (
        AsyncClient(releases.previous_api.address, timeout=60) as previous,
        AsyncClient(this, timeout=60) as first,
        AsyncClient(other, timeout=60) as second,
    ):
        yield Clients(previous, first, second)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 s of 320×180 with a tone."""
    return make_film(tmp_path_factory.mktemp("clip") / "clip.mp4", seconds=8)


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 s of 320×180 with a tone, which this release encodes in chunks."""
    return make_film(tmp_path_factory.mktemp("film") / "film.mp4", seconds=50)


def make_film(path: Path, *, seconds: int) -> Path:
    picture = ["-f", "lavfi", "-i", f"testsrc2=size=320x180:rate=25:duration={seconds},noise=alls=12:allf=t"]
    sound = ["-f", "lavfi", "-i", f"sine=duration={seconds}:sample_rate=48000"]
    coding = ["-c:v", "mpeg4", "-q:v", "12", "-g", "25", "-c:a", "aac"]
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", *picture, *sound, *coding, str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path
