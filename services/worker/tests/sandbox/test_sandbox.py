"""A hostile program in the real sandbox: every attempt is denied, and every layer is needed."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gostream_shared.domain.errors import MisconfiguredError
from gostream_worker.sandbox import landlock, seccomp
from gostream_worker.sandbox.confinement import Confinement, SandboxMissingError, interpreter_paths
from gostream_worker.sandbox.process import ChildLimits, limited_child
from gostream_worker.sandbox.support import prepare_sandbox

pytestmark = pytest.mark.skipif(
    landlock.abi() < 6 or not seccomp.is_supported(), reason="needs Landlock ABI 6 and seccomp"
)
LIMITS = ChildLimits(memory=1 << 30, cpu_seconds=30, file_bytes=1 << 20)
LAYERS = ("landlock", "seccomp")
_PRELUDE = """
import ctypes, errno, fcntl, os, resource, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "system call")
try:
    {attempt}
except OSError as error:
    print("denied" if error.errno in (errno.EPERM, errno.EACCES, errno.EXDEV) else f"errno {{error.errno}}")
else:
    print("done")
"""

#: An attempt and the layers that must all be removed for it to succeed.
ATTEMPTS = {
    "read the worker's environment": ("open('/proc/{worker}/environ', 'rb').read()", ("landlock",)),
    "open the worker's memory": ("open('/proc/{worker}/mem', 'rb')", ("landlock",)),
    "list all processes": ("os.listdir('/proc')", ("landlock",)),
    "read the accounts": ("open('/etc/passwd').read()", ("landlock",)),
    "list the root": ("os.listdir('/')", ("landlock",)),
    "read another folder": ("open('{outside}/secret').read()", ("landlock",)),
    "write to another folder": ("open('{outside}/new', 'w')", ("landlock",)),
    "truncate another file": ("os.truncate('{outside}/secret', 0)", ("landlock",)),
    "remove another file": ("os.remove('{outside}/secret')", ("landlock",)),
    "link another file": ("os.link('{outside}/secret', 'link')", ("landlock",)),
    "move another file": ("os.rename('{outside}/secret', 'moved')", ("landlock",)),
    "change another file's mode": ("os.chmod('{outside}/secret', 0o777)", ("seccomp",)),
    "make a symbolic link": ("os.symlink('{outside}/secret', 'link')", ("landlock",)),
    "make a device": ("os.mkfifo('fifo')", ("landlock",)),
    "run a shell": ("os.execv('/bin/sh', ['sh', '-c', 'echo done'])", ("landlock",)),
    "connect to a server": ("socket.create_connection(('127.0.0.1', {port}), 5)", LAYERS),
    "listen": ("socket.create_server(('127.0.0.1', 0))", LAYERS),
    "open a datagram socket": ("socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", ("seccomp",)),
    "open a raw socket": ("socket.socket(socket.AF_INET, socket.SOCK_RAW)", ("seccomp",)),
    "open a netlink socket": ("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", ("seccomp",)),
    "open a local socket": ("socket.socket(socket.AF_UNIX)", ("seccomp",)),
    "make a pair of sockets": ("socket.socketpair()", ("seccomp",)),
    "fork": ("os._exit(0) if os.fork() == 0 else os.wait()", ("seccomp",)),
    "spawn": ("os.waitpid(os.posix_spawn('{python}', ['python', '-V'], {{}}), 0)", ("seccomp",)),
    "signal the worker": ("os.kill({worker}, 0)", LAYERS),
    "read the worker's limits": ("resource.prlimit({worker}, resource.RLIMIT_NOFILE)", ("seccomp",)),
    "make memory that can be run": ("call({memfd_create}, b'x', 0)", ("seccomp",)),
    "leave its namespaces": ("call({unshare}, 0)", ("seccomp",)),
    "become dumpable": ("call({prctl}, 4, 1, 0, 0, 0)", ("seccomp",)),
    "outlive the worker": ("call({prctl}, 1, 0, 0, 0, 0)", ("seccomp",)),
    "give a file to the worker": ("fcntl.fcntl(0, fcntl.F_SETOWN, {worker})", ("seccomp",)),
    "choose a file's signal": ("fcntl.fcntl(0, 10, 9)", ("seccomp",)),
    "lease a file": ("fcntl.fcntl(open('made', 'w'), fcntl.F_SETLEASE, fcntl.F_WRLCK)", ("seccomp",)),
    "watch a folder": ("fcntl.fcntl(os.open('.', 0), fcntl.F_NOTIFY, 2)", ("seccomp",)),
    "set up io_uring": ("call({io_uring_setup}, 1, ctypes.create_string_buffer(200))", ("seccomp",)),
}


@pytest.fixture
def server() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outside")
    (folder / "secret").write_text("secret")
    return folder


def number(name: str) -> int:
    found = seccomp.DENIED[name][os.uname().machine == "aarch64"]
    assert found is not None
    return found


async def outcome(
    attempt: str, folder: Path, *, layers: tuple[str, ...] = LAYERS, port: int | None = None
) -> str:
    confinement = Confinement(
        read=interpreter_paths(), run=(sys.executable,), write=(str(folder),), port=port, layers=layers
    )
    command = [sys.executable, "-I", "-S", "-c", _PRELUDE.format(attempt=attempt)]
    async with limited_child(command, LIMITS, folder=folder, confinement=confinement) as child:
        out, complaint = await child.communicate()
    assert out, complaint.decode()
    return out.decode().splitlines()[-1]


def filled(attempt: str, outside: Path, port: int) -> str:
    numbers = {name: number(name) for name in ("memfd_create", "unshare", "io_uring_setup")}
    numbers["prctl"] = seccomp.DENIED_VALUES["prctl"][0][os.uname().machine == "aarch64"]
    return attempt.format(
        worker=os.getpid(), outside=outside, port=port, python=os.path.realpath(sys.executable), **numbers
    )


@pytest.mark.parametrize("name", ATTEMPTS)
async def test_hostile_attempt_is_denied(name: str, tmp_path: Path, outside: Path, server: int) -> None:
    attempt, _ = ATTEMPTS[name]

    assert await outcome(filled(attempt, outside, server), tmp_path) == "denied"


@pytest.mark.parametrize("name", [name for name in ATTEMPTS if "raw" not in name and "io_uring" not in name])
async def test_attempt_succeeds_without_its_layer(
    name: str, tmp_path: Path, outside: Path, server: int
) -> None:
    attempt, needed = ATTEMPTS[name]
    layers = tuple(layer for layer in LAYERS if layer not in needed)

    assert await outcome(filled(attempt, outside, server), tmp_path, layers=layers) == "done"


@pytest.mark.parametrize("name", [name for name in seccomp.DENIED if name != "tkill"])
async def test_denied_system_call_gets_eperm(name: str, tmp_path: Path) -> None:
    found = seccomp.DENIED[name][os.uname().machine == "aarch64"]
    if found is None:
        pytest.skip("this machine has no such call")

    assert await outcome(f"call({found}, -1, -1, -1, -1, -1)", tmp_path) == "denied"


VALUES = [(call, name) for call, (*_, values) in seccomp.DENIED_VALUES.items() for name in values]


@pytest.mark.parametrize(("call", "name"), VALUES)
async def test_denied_value_gets_eperm(call: str, name: str, tmp_path: Path) -> None:
    numbers, argument, values = seccomp.DENIED_VALUES[call]
    arguments = [values[name] if index == argument else -1 for index in range(5)]
    attempt = f"call({numbers[os.uname().machine == 'aarch64']}, {', '.join(map(str, arguments))})"

    assert await outcome(attempt, tmp_path) == "denied"
    assert await outcome(attempt, tmp_path, layers=("landlock",)) != "denied"


async def test_usual_arguments_are_allowed(tmp_path: Path) -> None:
    attempt = (
        "call({prctl}, 15, b'name', 0, 0, 0); fcntl.fcntl(0, fcntl.F_GETFL); os.dup(0); "
        "fcntl.ioctl(os.pipe()[0], 0x541B, bytes(4)); os.set_blocking(os.pipe()[0], False)"
    )

    assert await outcome(filled(attempt, tmp_path, 0), tmp_path) == "done"


async def test_sandbox_reaches_only_the_source_port(tmp_path: Path, server: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        connect = "socket.create_connection(('127.0.0.1', {}), 5)"
        elsewhere = other.getsockname()[1]

        assert await outcome(connect.format(server), tmp_path, port=server) == "done"
        assert await outcome(connect.format(elsewhere), tmp_path, port=server) == "denied"
        # Landlock restricts TCP connect(2) only, not other protocols or a connecting send.
        multipath = "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)"
        fast_open = (
            "socket.socket(socket.AF_INET, socket.SOCK_STREAM)"
            f".sendto(b'x', 0x20000000, ('127.0.0.1', {elsewhere}))"
        )
        assert await outcome(multipath, tmp_path, port=server) == "denied"
        assert await outcome(fast_open, tmp_path, port=server) == "denied"
        assert await outcome(fast_open, tmp_path, layers=("landlock",), port=server) == "done"
    for kind in ("AF_INET, socket.SOCK_DGRAM", "AF_INET6, socket.SOCK_STREAM", "AF_UNIX"):
        assert await outcome(f"socket.socket(socket.{kind})", tmp_path, port=server) == "denied"


async def test_own_folder_and_threads_are_allowed(tmp_path: Path) -> None:
    attempt = (
        "open('made', 'w').write('x'); os.rename('made', 'renamed'); os.remove('renamed'); "
        "import threading; thread = threading.Thread(target=lambda: None); thread.start(); thread.join(); "
        "os.kill(os.getpid(), 0)"
    )

    assert await outcome(attempt, tmp_path) == "done"


def test_missing_landlock_is_refused_if_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)

    with pytest.raises(SandboxMissingError):
        Confinement(required=True).enter()
    with pytest.raises(MisconfiguredError, match="Landlock ABI 0"):
        prepare_sandbox(required=True)


async def test_worker_is_not_dumpable(tmp_path: Path) -> None:
    script = (
        "import ctypes; from gostream_worker.sandbox.support import prepare_sandbox; "
        "prepare_sandbox(required=False); print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    async with limited_child([sys.executable, "-I", "-c", script], LIMITS, folder=tmp_path) as child:
        out, complaint = await child.communicate()

    assert out.decode().splitlines()[-1] == "0", complaint.decode()
