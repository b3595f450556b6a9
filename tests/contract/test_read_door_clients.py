"""Real clients of the read door, in four languages, against a real API: values, errors, ends and a drain.

`make clients` installs the client for Node. The others are used where they are installed: curl, h2load
(Debian's nghttp2-client), Go and grpc-go (Debian's golang-google-grpc-dev).
"""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest
from google.rpc import status_pb2

from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import BatchGetVideosRequest, BatchGetVideosResponse, GetVideoRequest
from gostream_devstack.fixtures import RedisSettings
from gostream_devstack.host.ports import HOST, Ports
from tests.faults.replicas import Fleet, Replica
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HERE = Path(__file__).parent / "clients"
ROOT = HERE.parents[2]
NODE_MODULES = Path(os.environ.get("GOSTREAM_NODE_CLIENT", ROOT / ".tools/clients/node_modules"))
GO_SOURCES = Path("/usr/share/gocode")
CALLS, OPEN = 10_000, 64
#: Seconds. The calls wait for a locked table, and each client ends them itself.
SOON, PATIENCE = 0.5, 60
PATIENT = {"deadline": PATIENCE}


@dataclass(frozen=True)
class Door:
    """The read door of an API with two processes."""

    fleet: Fleet
    replica: Replica
    port: int
    hot: UUID

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @asynccontextmanager
    async def stuck(self) -> AsyncIterator[None]:
        """Reads of videos that are not cached wait."""
        async with self.fleet.database.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE videos IN ACCESS EXCLUSIVE MODE")
            yield

    def process_of(self, client: int) -> psutil.Process | None:
        """The API's process that serves the client, which is a process and its children."""
        family = [psutil.Process(client), *psutil.Process(client).children(recursive=True)]
        ours = {link.laddr[1] for each in family for link in each.net_connections() if link.raddr}
        for process in psutil.Process(self.replica.process.pid).children():
            for link in process.net_connections():
                if link.status == "ESTABLISHED" and link.laddr[1] == self.port and link.raddr[1] in ours:
                    return process
        return None


@pytest.fixture
async def door(database_url: str, redis_settings: RedisSettings, tmp_path: Path) -> AsyncIterator[Door]:
    async with Fleet.open(database_url, redis_settings, tmp_path) as fleet:
        port = Ports({}).pick("read")
        [replica] = await fleet.start(1, READ_PORT=str(port), API_PROCESSES="2", METRICS_PORT="0")
        yield Door(fleet, replica, port, await fleet.new_video("Ünïcödé ✓"))


def get(video_id: UUID) -> dict[str, Any]:
    return {
        "method": "GetVideo",
        "request": GetVideoRequest(id=str(video_id)).SerializeToString().hex(),
    } | PATIENT


def batch(*ids: UUID) -> dict[str, Any]:
    request = BatchGetVideosRequest(ids=map(str, ids))
    return {"method": "BatchGetVideos", "request": request.SerializeToString().hex()} | PATIENT


class Client:
    """A client's process, which answers steps."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    @asynccontextmanager
    async def running(cls, *command: str | Path, **variables: str) -> AsyncIterator["Client"]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, env=os.environ | variables
        )
        try:
            yield cls(process)
            assert process.stdin is not None
            process.stdin.close()
            await asyncio.wait_for(process.wait(), PATIENCE)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    def tell(self, step: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(step).encode() + b"\n")

    async def heard(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(await asyncio.wait_for(self.process.stdout.readline(), 5 * PATIENCE))

    async def do(self, step: dict[str, Any]) -> Any:
        self.tell(step)
        return await self.heard()


async def go_client(tmp_path: Path) -> Path:
    """Builds the client without Go's module proxy, from the sources that Debian installs."""
    go = shutil.which("go")
    if go is None or not (GO_SOURCES / "src/google.golang.org/grpc").is_dir():
        pytest.skip("needs go, and golang-google-grpc-dev")
    built = tmp_path / "client"
    settings = {"GO111MODULE": "off", "GOFLAGS": "", "GOPATH": str(GO_SOURCES)}
    building = await asyncio.create_subprocess_exec(
        go, "build", "-o", built, HERE / "client.go", env=os.environ | settings
    )
    assert await asyncio.wait_for(building.wait(), 5 * PATIENCE) == 0
    return built


@asynccontextmanager
async def started(name: str, address: str, tmp_path: Path) -> AsyncIterator[Client]:
    """The client of that name; skips the test without it."""
    variables: dict[str, str] = {}
    command: list[str | Path]
    if name == "node":
        if not shutil.which("node") or not (NODE_MODULES / "@grpc/grpc-js").is_dir():
            pytest.skip("needs node and @grpc/grpc-js: make clients")
        command, variables = ["node", HERE / "client.js"], {"NODE_PATH": str(NODE_MODULES)}
    elif name == "go":
        command = [await go_client(tmp_path)]
    else:
        command = [sys.executable, HERE / "python_client.py", name]
    async with Client.running(*command, address, **variables) as client:
        yield client


@pytest.mark.parametrize("name", ["sync", "aio", "node", "go"])
async def test_client_is_served(door: Door, name: str, tmp_path: Path) -> None:
    async with started(name, door.address, tmp_path) as client:
        await _check_replies(door, client)
        await _check_ends(door, client)
        await _check_drain(door, client)


async def _check_replies(door: Door, client: Client) -> None:
    found = await client.do(get(door.hot))
    assert (found["code"], Video.FromString(bytes.fromhex(found["reply"])).title) == (0, "Ünïcödé ✓")
    async with asyncio.timeout(PATIENCE):  # a process that has just started bypasses its cache
        while (await client.do(get(door.hot)))["layer"] != "L1":
            await asyncio.sleep(0.05)

    unknown = uuid4()
    absent = await client.do(get(unknown))
    status = status_pb2.Status.FromString(bytes.fromhex(absent["details"]))
    assert (absent["code"], status.code, status.message) == (5, 5, absent["message"])
    assert {detail.type_url.rpartition(".")[2] for detail in status.details} == {"ErrorInfo", "ResourceInfo"}

    many = await client.do(batch(*[door.hot] * 100))
    videos = BatchGetVideosResponse.FromString(bytes.fromhex(many["reply"])).videos
    assert {video.id for video in videos} == {str(door.hot)}
    assert len(videos) == 100


async def _check_ends(door: Door, client: Client) -> None:
    async with door.stuck():
        expired = await client.do(get(uuid4()) | {"deadline": SOON})
        cancelled = await client.do(get(uuid4()) | {"cancel": SOON})

    assert (expired["code"], cancelled["code"]) == (4, 1)
    assert (await client.do(get(door.hot)))["code"] == 0


async def _check_drain(door: Door, client: Client) -> None:
    """One process of the API stops during the calls, and every call succeeds."""
    client.tell(get(door.hot) | {"calls": CALLS, "report": CALLS // 5, "open": OPEN})
    assert await client.heard() == {"progress": CALLS // 5}
    serving = door.process_of(client.process.pid)
    assert serving is not None
    serving.send_signal(signal.SIGTERM)

    assert await client.heard() == {"calls": CALLS, "failed": 0}
    await eventually(lambda: not serving.is_running(), timeout=PATIENCE)
    assert (await client.do(get(door.hot)))["code"] == 0


async def _output(*command: str | Path) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), 5 * PATIENCE)
    assert process.returncode == 0
    return output.decode("utf-8", "replace")


def _headers(flag: str) -> list[str]:
    return [flag, "content-type: application/grpc", flag, "te: trailers"]


def _framed(path: Path, video_id: UUID) -> Path:
    message = GetVideoRequest(id=str(video_id)).SerializeToString()
    path.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    return path


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
async def test_curl_is_served(door: Door, tmp_path: Path) -> None:
    url = f"http://{door.address}/gostream.v1.VideoService/GetVideo"
    body, seen = tmp_path / "body", tmp_path / "seen"

    async def ask(video_id: UUID, *more: str) -> str:
        sent = f"@{_framed(tmp_path / 'request', video_id)}"
        common = ["--silent", "--show-error", "--max-time", str(PATIENCE), "--http2-prior-knowledge"]
        output = ["--dump-header", str(seen), "--output", str(body)]
        await _output("curl", *common, *output, *_headers("-H"), *more, "--data-binary", sent, url)
        return seen.read_text()

    found = await ask(door.hot)
    assert Video.FromString(body.read_bytes()[5:]).title == "Ünïcödé ✓"
    assert "grpc-status: 0" in found
    assert "grpc-status: 5" in await ask(uuid4())
    async with door.stuck():
        assert "grpc-status: 4" in await ask(uuid4(), "-H", "grpc-timeout: 500m")


@pytest.mark.skipif(not shutil.which("h2load"), reason="needs h2load: nghttp2-client")
async def test_h2load_is_served(door: Door, tmp_path: Path) -> None:
    request = _framed(tmp_path / "request", door.hot)
    url = f"http://{door.address}/gostream.v1.VideoService/GetVideo"

    report = await _output(
        "h2load", "-n", str(CALLS), "-c", "1", "-m", str(OPEN), *_headers("-H"), "-d", request, url
    )

    assert f"{CALLS} total, {CALLS} started, {CALLS} done, {CALLS} succeeded, 0 failed" in report
