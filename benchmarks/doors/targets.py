"""The compared servers: each starts on one core, with the same PostgreSQL and Redis."""

import argparse
import asyncio
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import psutil
from google.protobuf.json_format import MessageToJson

from benchmarks.doors.build import Programs
from benchmarks.doors.load import LOAD_CORE
from benchmarks.servers import Servers
from gostream.v1.video_pb2 import Video
from gostream_api.rpc.convert import encode_video
from gostream_shared.config import Config
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.repositories import NewVideo

_HOST = "127.0.0.1"
_SERVER_CORE = 0
_START_TIMEOUT = 90.0
_TABLE = "CREATE TABLE IF NOT EXISTS peer_replies (kind text, id text, reply bytea, PRIMARY KEY (kind, id))"


@dataclass(frozen=True, slots=True)
class Target:
    """One server, or one port of the API. `kind`: what it speaks, `grpc` or `json`."""

    name: str
    kind: str
    port: int
    process: psutil.Process
    is_constant: bool = False

    @property
    def place(self) -> tuple[str, int]:
        return self.kind, self.port

    def megabytes(self) -> float:
        """Resident memory."""
        return float(self.process.memory_info().rss / 2**20)


def add_short(parser: argparse.ArgumentParser) -> None:
    """Adds the option `--short`."""
    default = os.environ.get("READ_DOOR_SHORT", "")
    text = "values of READ_DOOR_SHORT; an API for each (default: the variable's own value)"
    parser.add_argument("--short", nargs="+", default=[default], metavar="MODE", help=text)


def circumstances(programs: Programs, load: float) -> str:
    """Words for a report: where the programs ran, their versions, and whether Go servers are missing."""
    words = place_of_all(programs, load)
    return words if programs.peer else words + " The Go servers are missing: they need apt-get of Debian 12."


def place_of_all(programs: Programs, load: float) -> str:
    """Words for a report: where the programs ran, and their versions."""
    return (
        f"The server on one core, generator and Redis on another. Load average {load:.1f} at the start. "
        f"{programs.versions}."
    )


@contextmanager
def running_targets(servers: Servers, peer: Path | None, short: Sequence[str]) -> Iterator[list[Target]]:
    """Starts all servers, and an API for each value of READ_DOOR_SHORT; stops them after the block.

    Raises TimeoutError.
    """
    keep_off_servers(servers)
    with ExitStack() as stack:
        targets = stack.enter_context(_running_bare())
        for mode in short:
            settings = {"READ_DOOR_SHORT": mode} if mode else {}
            targets += stack.enter_context(running_api(servers, settings, f" ({mode})" if mode else ""))
        if peer:
            targets += stack.enter_context(_running_peers(servers, peer))
        yield targets


def keep_off_servers(servers: Servers) -> None:
    """Runs Redis on the generator's core."""
    for thread in psutil.Process(servers.redis.pid).threads():
        os.sched_setaffinity(thread.id, {LOAD_CORE})


@contextmanager
def _running_bare() -> Iterator[list[Target]]:
    port = _free_port()
    with _process([sys.executable, "-m", "benchmarks.doors.bare", str(port)], {}, [port]) as process:
        yield [Target("bare grpc.aio, constant reply", "grpc", port, process, is_constant=True)]


@contextmanager
def running_api(servers: Servers, settings: Mapping[str, str], suffix: str) -> Iterator[list[Target]]:
    """Starts an API with additional settings; yields its ports, whose names end with the suffix.

    Raises TimeoutError.
    """
    api, read = _free_port(), _free_port()
    usual = {
        **servers.environment(),
        "API_HOST": _HOST,
        "API_PORT": str(api),
        "READ_PORT": str(read),
        "METRICS_HOST": _HOST,
        "METRICS_PORT": "0",
        "LOG_LEVEL": "ERROR",
        "SHUTDOWN_DELAY": "0s",
    }
    command = [sys.executable, "-m", "gostream_api.app"]
    with _process(command, {**usual, **settings}, [api, read]) as process:
        targets = [
            Target("our grpc.aio" + suffix, "grpc", api, process),
            Target("our read door, gRPC" + suffix, "grpc", read, process),
        ]
        if _answers_json(read):
            targets.append(Target("our read door, JSON" + suffix, "json", read, process))
        yield targets


@contextmanager
def _running_peers(servers: Servers, peer: Path) -> Iterator[list[Target]]:
    redis = servers.redis
    settings = {
        "DATABASE_URL": servers.database_url,
        "REDIS_ADDRESS": f"{redis.host}:{redis.port}",
        "REDIS_PASSWORD": redis.password,
    }
    with ExitStack() as stack:
        targets = []
        for kind, name in (("grpc", "Go, gRPC → Redis"), ("json", "Go, JSON → Redis")):
            port = _free_port()
            command = [str(peer), f"-kind={kind}", f"-address={_HOST}:{port}"]
            process = stack.enter_context(_process(command, settings, [port]))
            targets.append(Target(name, kind, port, process))
        yield targets


@contextmanager
def _process(command: list[str], settings: dict[str, str], ports: list[int]) -> Iterator[psutil.Process]:
    pinned = ["taskset", "-c", str(_SERVER_CORE), *command]
    process = subprocess.Popen(pinned, env={**os.environ, **settings})
    try:
        deadline = time.monotonic() + _START_TIMEOUT
        for port in ports:
            _wait_until_listening(process, port, deadline)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_listening(process: subprocess.Popen[bytes], port: int, deadline: float) -> None:
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((_HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"the server does not start: {process.args!r}")


def _answers_json(port: int) -> bool:
    """Whether the port answers HTTP/1.1, with any status."""
    connection = http.client.HTTPConnection(_HOST, port, timeout=5)
    try:
        connection.request("GET", f"/v1/videos/{UUID(int=0)}")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def make_videos(config: Config, count: int) -> list[str]:
    """Creates videos, and the peer's replies for them. Returns the ids. No cache has the videos then."""
    return asyncio.run(_make_videos(config, count))


async def _make_videos(config: Config, count: int) -> list[str]:
    async with PostgresDatabase.open(config.database_url.get_secret_value(), max_size=4) as database:
        created = [await database.videos.create(_new_video()) for _ in range(count)]
    replies = [(str(each.id), encode_video(each, cdn_base_url=config.cdn_base_url)) for each in created]
    rows = [("grpc", name, reply) for name, reply in replies]
    rows += [
        ("json", name, MessageToJson(Video.FromString(reply), indent=None).encode())
        for name, reply in replies
    ]
    connection = await asyncpg.connect(config.database_url.get_secret_value())
    try:
        await connection.execute(_TABLE)
        await connection.executemany("INSERT INTO peer_replies VALUES ($1, $2, $3)", rows)
    finally:
        await connection.close()
    return [name for name, _ in replies]


def _new_video() -> NewVideo:
    return NewVideo(id=uuid4(), user_id="u1", title="A title of usual length", content_type="video/mp4")
