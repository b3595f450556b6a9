"""The command as used on a terminal, with stand-ins for the services."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gostream_devstack.host import orphans
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.host.state import State
from gostream_devstack.servers.valkey import Valkey

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("fake_services")]

SERVICES = ("api-1", "api-2", "worker-1")
READS = ("api-1 reads", "api-2 reads")
NAMES = (
    "postgres",
    "redis",
    "s3",
    "nginx",
    "envoy",
    *SERVICES,
    *READS,
    *(f"{name} metrics" for name in SERVICES),
)
OWN = ("DATABASE_URL", "REDIS_HOST", "S3_ENDPOINT_URL")


class Command:
    """`gostream-devstack` with the test's state directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {key: value for key, value in os.environ.items() if key not in OWN}

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._line(*words), env=self.environment, capture_output=True, text=True, timeout=90, check=False
        )

    def ok(self, *words: str) -> str:
        done = self(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def hold(self, *words: str) -> "subprocess.Popen[str]":
        """Starts `up` in the foreground and returns when it reports that it is up."""
        process = subprocess.Popen(
            self._line("up", *words),
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        heard = ""
        for line in process.stdout:
            heard += line
            if "passwords" in line:
                return process
        raise AssertionError(heard)

    def env(self) -> dict[str, str]:
        return dict(json.loads(self.ok("env", "--json")))

    def status(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in json.loads(self.ok("status", "--json"))["processes"]}

    def left_over(self) -> list[psutil.Process]:
        return orphans.find((self.root / "servers").resolve())

    def _line(self, *words: str) -> list[str]:
        name, *options = words
        return [sys.executable, "-m", "gostream_devstack", name, "--state-dir", str(self.root), *options]


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    command = Command(tmp_path / "state")
    command.root.mkdir()
    ports = Ports({})  # random ports: other programs on this machine may use the default ones
    for name in NAMES:
        ports.pick(name)
    State(ports.remembered).save(command.root)
    yield command
    servers = (command.root / "servers").resolve()
    command.ok("down", "--wipe")
    assert not servers.exists()
    assert not command.root.exists()


def _until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        time.sleep(0.05)


def _ends(process: "subprocess.Popen[str]") -> tuple[int, str]:
    said, _ = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.slow
def test_up_runs_until_interrupted_and_cleans_up(command: Command) -> None:
    up = command.hold("--api-replicas", "2")
    lines = dict(line.split("=", 1) for line in command.ok("env").splitlines())
    assert lines == command.env()
    assert len(lines["GOSTREAM_API_ADDR"].split(",")) == 2
    assert all(each["alive"] for each in command.status().values())
    assert "serving" in command.ok("logs", "api-1")
    second = command("up")
    assert second.returncode == 1
    assert f"in use by process {up.pid}" in second.stderr
    up.send_signal(signal.SIGINT)
    code, said = _ends(up)
    assert (code, said) == (0, "stopping\n")
    assert not command.left_over()
    assert command("status").returncode == 1


@pytest.mark.slow
def test_restarted_stack_keeps_ports_passwords_and_data(command: Command) -> None:
    said = command.ok("up", "--detach", "--workers", "0")
    assert "GoStream is up" in said
    before = command.env()
    assert command("up", "--detach").returncode == 1
    assert command.ok("down") == "stopped\n"
    assert command.ok("down") == f"nothing was running in {command.root}\n"
    assert not command.left_over()
    command.ok("up", "--detach", "--workers", "0")
    assert command.env() == before
    assert (command.root / "state.json").stat().st_mode & 0o777 == 0o600
    assert (command.root / "run.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.faults
def test_no_process_outlives_a_killed_supervisor(command: Command) -> None:
    up = command.hold()
    assert command.left_over()
    up.kill()
    _ends(up)
    _until(lambda: not command.left_over())
    assert command("env").returncode == 1
    command.ok("up", "--detach")


@pytest.mark.faults
def test_orphaned_processes_are_stopped_by_the_next_start(command: Command) -> None:
    place = Directories.at(command.root).servers / "api-9"
    place.mkdir()
    stray = subprocess.Popen(["sleep", "600"], cwd=place, start_new_session=True)
    assert "killed processes of an earlier run: 1" in command.ok("up", "--detach")
    assert stray.wait(10) == -signal.SIGKILL


@pytest.mark.faults
def test_dead_server_stops_the_stack_with_its_log(command: Command) -> None:
    up = command.hold()
    os.kill(command.status()["seaweedfs"]["pid"], signal.SIGKILL)
    code, said = _ends(up)
    assert code == 1
    assert "seaweedfs died with -9" in said
    assert not command.left_over()


@pytest.mark.faults
def test_dead_service_is_restarted(command: Command) -> None:
    up = command.hold()
    killed = command.status()["api-1"]["pid"]
    os.kill(killed, signal.SIGKILL)
    _until(lambda: command.status()["api-1"]["pid"] != killed)
    assert command.status()["api-1"]["alive"]
    up.terminate()
    code, said = _ends(up)
    assert code == 0
    assert "api-1: died with -9, starting again in 0.5 s" in said


@pytest.mark.slow
def test_service_start_failure_is_explained(command: Command) -> None:
    command.environment["GOSTREAM_API_COMMAND"] = shlex.join([sys.executable, "-c", "exit('no such luck')"])
    failed = command("up", "--detach")
    assert failed.returncode == 1
    assert "no such luck" in failed.stdout
    assert not command.left_over()


@pytest.mark.slow
def test_taken_port_is_replaced_by_a_free_one(command: Command) -> None:
    command.ok("up", "--detach")
    before = command.env()
    command.ok("down")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", int(before["REDIS_PORT"])))
        taken.listen()
        said = command.ok("up", "--detach")
        after = command.env()
    assert f"port {before['REDIS_PORT']} is taken: redis listens on {after['REDIS_PORT']}" in said
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"REDIS_PORT"}


@pytest.mark.slow
def test_named_redis_of_the_user_is_used(command: Command, make_redis_server: Callable[..., Valkey]) -> None:
    own = make_redis_server()
    given = {"REDIS_HOST": own.host, "REDIS_PORT": str(own.port), "REDIS_PASSWORD": own.password}
    command.environment |= given
    said = command.ok("up", "--detach")
    assert "using the server given by REDIS_HOST" in said
    assert "redis" not in command.status()
    assert command.env().items() >= given.items()
