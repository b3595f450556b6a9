"""The complete stack, with stand-ins for the services."""

import asyncio
import shlex
import signal
import sys
import time
from collections.abc import Callable

import asyncpg
import psutil
import pytest

from gostream_devstack.errors import StackError
from gostream_devstack.host import orphans
from gostream_devstack.instance.stack import Stack, own_servers
from gostream_devstack.servers.service import is_serving

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("fake_services")]


def test_environment_names_the_running_servers(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(api_replicas=2, workers=1)
    assert set(stack.servers) == {
        *("postgres", "redis", "seaweedfs", "nginx", "envoy", "api-1", "api-2", "worker-1")
    }
    assert all(is_serving(address) for address in stack.env["GOSTREAM_API_ADDR"].split(","))
    assert is_serving(stack.env["GOSTREAM_HTTP_URL"].removeprefix("http://")), "Envoy forwards gRPC"
    assert stack.env["CDN_BASE_URL"].endswith(f":{stack.servers['nginx'].port}")
    assert asyncio.run(_count_videos(stack.env["DATABASE_URL"])) == 0, "the database is migrated and empty"
    assert len(stack.env["GOSTREAM_METRICS_URL"].split(",")) == 3
    ports = [api.read_port for api in stack.apis]
    assert stack.env["GOSTREAM_READ_ADDR"] == f"127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}"


async def _count_videos(url: str) -> int:
    connection = await asyncpg.connect(url, timeout=60)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM videos"))
    finally:
        await connection.close()


@pytest.mark.faults
def test_killed_process_restarts_with_the_same_address(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(api_replicas=1, workers=1)
    before = dict(stack.env)
    for server in stack.servers.values():
        server.kill()
        assert not server.alive
        assert server.returncode == -signal.SIGKILL
    for server in stack.servers.values():
        server.start()
    assert stack.env == before
    assert asyncio.run(_count_videos(stack.env["DATABASE_URL"])) == 0


@pytest.mark.faults
def test_stopped_stack_leaves_no_process(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    directories = [server.directory for server in stack.servers.values()]
    assert all(orphans.find(directory) for directory in directories)
    stack.servers["redis"].pause()
    stack.stop()
    assert not any(orphans.find(directory) for directory in directories)


@pytest.mark.slow
def test_failed_service_start_stops_the_stack(
    make_stack: Callable[..., Stack], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = shlex.join([sys.executable, "-c", "exit('no such luck')"])
    monkeypatch.setenv("GOSTREAM_WORKER_COMMAND", command)
    mine = psutil.Process()
    before = set(mine.children(recursive=True))
    with pytest.raises(StackError, match=r"(?s)worker-1 ended with 1.*no such luck"):
        make_stack()
    assert set(mine.children(recursive=True)) <= before


def test_only_named_servers_count_as_external() -> None:
    assert own_servers({"REDIS_PORT": "1", "S3_BUCKET": "b"}) == {}
    own = own_servers({"REDIS_HOST": "cache", "S3_ENDPOINT_URL": "http://store", "S3_SECRET_KEY": "k"})
    assert (own["REDIS_HOST"], own["REDIS_PORT"]) == ("cache", "6379")
    assert (own["S3_BUCKET"], own["S3_SECRET_KEY"]) == ("videos", "k")
    assert "DATABASE_URL" not in own


@pytest.mark.faults
def test_draining_replica_gets_no_calls_until_healthy(
    make_stack: Callable[..., Stack],
) -> None:
    stack = make_stack(api_replicas=2)
    address = stack.env["GOSTREAM_HTTP_URL"].removeprefix("http://")
    first = stack.servers["api-1"]
    first.stop()
    deadline = time.monotonic() + 30
    while not all(is_serving(address) for _ in range(10)):
        assert time.monotonic() < deadline
    first.start()
    stack.servers["api-2"].stop()
    while not is_serving(address):
        assert time.monotonic() < deadline + 30
