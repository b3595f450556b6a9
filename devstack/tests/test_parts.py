"""Parts of devstack that need no server."""

import io
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest
from rich.console import Console

from gostream_devstack.errors import StackError
from gostream_devstack.host import orphans
from gostream_devstack.host.directories import Account, Directories
from gostream_devstack.host.ports import Ports, _claims
from gostream_devstack.host.screen import Screen
from gostream_devstack.instance import logs
from gostream_devstack.servers.nginx import substitute
from gostream_devstack.servers.server import Server
from gostream_devstack.servers.supervisor import FIRST_PAUSE, RESTARTS, Step, Watcher, run_steps


@pytest.fixture
def taken() -> Iterator[int]:
    """A port with a listener until the test ends."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def test_preferred_port_is_used_only_if_free(taken: int) -> None:
    said: list[str] = []
    ports = Ports({}, said.append)
    given = ports.pick("redis", taken)
    assert given > taken
    assert said == [f"port {taken} is taken: redis listens on {given}"]
    assert ports.pick("other", given) != given, "each port is assigned once"


def test_remembered_port_is_kept(taken: int) -> None:
    first = Ports({})
    port = first.pick("redis", taken)
    assert Ports(dict(first.remembered), pytest.fail).pick("redis", taken) == port


def test_port_reserved_by_another_process_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    choose = "from gostream_devstack.host.ports import Ports; print(Ports({}).pick('a'), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", choose], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = int(other.stdout.readline())
        monkeypatch.setattr("gostream_devstack.host.ports.random.sample", lambda *_: [theirs])
        with pytest.raises(StackError, match="no free port"):
            Ports({}).pick("b")
        other.communicate("\n")
    assert Ports({}).pick("b") == theirs, "an unused reservation expires"


def test_port_is_chosen_without_a_lock_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gostream_devstack.host.ports.os.open", Mock(side_effect=PermissionError))
    monkeypatch.setattr("gostream_devstack.host.ports._claims", _claims.__wrapped__)
    assert Ports({}).pick("a")


def test_login_shell_in_the_folder_is_not_killed(tmp_path: Path) -> None:
    psutil.Process().terminal()  # psutil caches the terminals; a later one must be found too
    controller, terminal = pty.openpty()
    login = (
        "import fcntl, termios, time; fcntl.ioctl(0, termios.TIOCSCTTY, 0); print(flush=True); time.sleep(60)"
    )
    person = subprocess.Popen(
        [sys.executable, "-c", login],
        cwd=tmp_path,
        stdin=terminal,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    stray = subprocess.Popen(["sleep", "60"], cwd=tmp_path, start_new_session=True)
    try:
        assert person.stdout is not None
        person.stdout.readline()
        assert orphans.reap(tmp_path) == 1
        assert stray.wait(10) < 0
        assert person.poll() is None
    finally:
        person.kill()
        person.communicate()
        os.close(controller)
        os.close(terminal)


def test_logs_show_the_last_lines_with_names(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for name in ("api-1", "redis"):
        (tmp_path / f"logs/{name}.log").write_text(f"{name} one\n{name} two\n")
    shown: list[str] = []
    logs.show(logs.choose(tmp_path, None), 1, follow=False, write=shown.append)
    logs.show(logs.choose(tmp_path, "redis"), 5, follow=False, write=shown.append)
    assert shown == ["api-1  api-1 two", "redis  redis two", "redis one", "redis two"]
    with pytest.raises(StackError, match="available: api-1, redis"):
        logs.choose(tmp_path, "nginx")


def test_followed_logs_print_lines_once_despite_rotation(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("old\n")
    shown: list[str] = []

    def emit(_: Path, text: str) -> None:
        shown.extend(text.splitlines())

    with log.open("a") as file:
        file.write("one\nhal")
    place = logs.emit_new(log, 4, emit)
    with log.open("a") as file:
        file.write("f\n")
    place = logs.emit_new(log, place, emit)
    log.write_text("new\n")
    logs.emit_new(log, place, emit)
    assert shown == ["one", "half", "new"]


def test_screen_is_a_table_only_on_terminals() -> None:
    for terminal, expected in ((False, "redis: ready after 0.1 s\n"), (True, "✓  redis")):
        shown = io.StringIO()
        console = Console(file=shown, force_terminal=terminal, color_system=None)
        with Screen(console) as screen:
            screen.report("redis", "starting")
            screen.report("redis", "ready after 0.1 s")
        assert expected in shown.getvalue()


def test_placeholder_without_a_value_is_an_error() -> None:
    assert substitute("a ${B} $uri", {"B": "b"}) == "a b $uri"
    with pytest.raises(StackError, match="no value for C"):
        substitute("${B} ${C}", {"B": "b"})


def test_failing_step_aborts_the_remaining_steps() -> None:
    ran: list[str] = []
    heard: list[tuple[str, str]] = []

    def fail() -> None:
        raise StackError("no such luck")

    steps = [Step("bad", fail), Step("after", lambda: ran.append("after"), ("bad",))]
    with pytest.raises(StackError, match="no such luck"):
        run_steps(steps, lambda name, event: heard.append((name, event)), lambda: ran.append("aborted"))
    assert ran == ["aborted"]
    assert heard == [("bad", "starting"), ("bad", "failed")]


class Shell(Server):
    """A program that exits immediately."""

    def command(self) -> Sequence[str]:
        return ["/bin/sh", "-c", "echo said something; exit 3"]

    def ready(self) -> bool:
        return False


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    for folder in ("logs", "servers"):
        (tmp_path / folder).mkdir()
    return Shell(Directories(tmp_path / "logs", tmp_path / "servers", None), "shell", 0)


def test_server_that_exits_immediately_is_explained(shell: Shell) -> None:
    with pytest.raises(StackError, match=r"(?s)shell ended with 3.*said something"):
        shell.start()


def test_missing_program_is_named(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "command", lambda: ["/no/such/program"])
    with pytest.raises(StackError, match="/no/such/program: No such file"):
        shell.start()


def test_repeatedly_dying_service_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("gostream_devstack.servers.supervisor.time.monotonic", lambda: now)
    said: list[str] = []
    dead = _Dead()
    watcher = Watcher({"api-1": dead}, lambda name, event: said.append(event))
    for attempt in range(RESTARTS):
        watcher.check()
        assert said[-1] == f"died with 3, starting again in {FIRST_PAUSE * 2**attempt:.1f} s"
        assert not watcher.check(), "no restart before the pause ends"
        now += FIRST_PAUSE * 2**attempt
        assert watcher.check()
    with pytest.raises(StackError, match="api-1 died with 3"):
        watcher.check()
    assert dead.spawned == RESTARTS


class _Dead(Shell):
    restarts = True

    def __init__(self) -> None:
        self.spawned = 0

    alive = False
    returncode = 3

    def spawn(self) -> None:
        self.spawned += 1

    def tail(self, lines: int = 20) -> str:
        return ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run servers under another account")
def test_only_unreadable_programs_are_copied(tmp_path: Path) -> None:
    home = Directories.at(tmp_path / "state")
    try:
        assert isinstance(home.account, Account)
        private = tmp_path / "private"
        (private / "tool/lib").mkdir(parents=True)
        (private / "tool/lib/data").write_text("x")
        (private / "tool/run").write_text("#!/bin/sh\ncat $(dirname $0)/lib/data\n")
        (private / "tool/run").chmod(0o700)
        copy = home.reachable(private, "tool")
        assert copy.is_relative_to(home.servers)
        said = subprocess.run(
            [copy / "tool/run"],
            user=home.account.uid,
            group=home.account.gid,
            capture_output=True,
            check=True,
        )
        assert said.stdout == b"x"
        assert (private / "tool/run").stat().st_mode & 0o777 == 0o700
        assert home.reachable(private, "tool") == copy
        assert home.reachable(Path("/usr/bin"), "env") == Path("/usr/bin")
    finally:
        home.remove()
    assert not home.servers.exists()
