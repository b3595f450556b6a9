"""One real server: a child process with a directory, a log and a way to tell that it is ready."""

import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, ClassVar

import psutil

from gostream_devstack.errors import PortLostError, StackError
from gostream_devstack.host import launcher, orphans
from gostream_devstack.host.directories import Account, Directories
from gostream_devstack.host.ports import HOST, is_free

LOG_LIMIT = 10 * 1024 * 1024
# Linux kills a child when the *thread* that spawned it ends: one lasting thread spawns them all.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class Server(ABC):
    """A server on loopback that can be started, stopped, killed, frozen and started again.

    Every method blocks; call it from a thread where a loop must go on. `start` after any kind of death works.
    """

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    stop_timeout: ClassVar[float] = 10.0
    # What the kernel sends when the supervisor dies.
    orphan_signal: ClassVar[signal.Signals] = signal.SIGKILL
    # Python services stay with the interpreter's owner: its home may be closed to everybody else.
    drops_root: ClassVar[bool] = True

    # Whether the supervisor starts it again when it dies; else its death is the end of the stack.
    restarts: ClassVar[bool] = False

    def __init__(self, directories: Directories, name: str, port: int) -> None:
        self.directories = directories
        self.name = name
        self.host = HOST
        self.port = port
        self.directory = directories.servers / name
        self.log = directories.logs / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The program, by its full path, and its arguments."""

    @abstractmethod
    def ready(self) -> bool:
        """One quick look whether the server can do its work; raises nothing while it cannot."""

    def environment(self) -> Mapping[str, str]:
        """All the variables the server gets."""
        return {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(self.directory)}

    def prepare(self) -> None:  # noqa: B027  (most have nothing to add)
        """Write files before the start. `self.directory` exists and nothing runs in it."""

    def settle(self) -> None:  # noqa: B027
        """Create what the server must hold, once it is ready. Repeated on every start."""

    def start(self, timeout: float = 60.0) -> None:
        """Start and wait until ready; `StackError` with the end of the log when that fails."""
        self.spawn()
        self.wait_ready(timeout)

    def spawn(self) -> None:
        """Start without waiting, after killing whatever an earlier life left behind."""
        if self.alive:
            raise StackError(f"{self.name} runs already (pid {self.pid})")
        orphans.reap(self.directory)
        self._require_ports("it was not started")
        self.directories.make(self.directory)
        self.prepare()
        with self._open_log() as log:
            self._log_start = log.tell()
            self._process = _spawner.submit(self._popen, self.command(), log).result()

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Poll `ready`, then `settle`."""
        deadline = time.monotonic() + timeout
        while not (self.ready() and self._is_listening()):
            if not self.alive:
                end = f"ended with {self.returncode}; its log says:\n{self.tail()}"
                self._require_ports(f"it {end}")
                raise StackError(f"{self.name} {end}")
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.name} is not ready after {timeout:.0f} s; its log says:\n{self.tail()}"
                )
            time.sleep(0.03)
        self.settle()

    @property
    def ports(self) -> tuple[int, ...]:
        """What it listens on, as far as we choose it."""
        return (self.port,)

    def _is_listening(self) -> bool:
        """Whether it is this server that has the port: a stranger that took it may answer as ready."""
        if not self.alive:
            return False
        try:
            main = psutil.Process(self.pid)
            found = [each for one in (main, *main.children(recursive=True)) for each in one.net_connections()]
        except psutil.Error:  # of a child that has just ended, or not ours to look at
            return self.alive
        return any(each.status == psutil.CONN_LISTEN and each.laddr.port == self.port for each in found)

    def _require_ports(self, otherwise: str) -> None:
        """Raises PortLostError if another program has one of the ports; only for one that is not alive."""
        lost = [port for port in self.ports if not is_free(port)]
        if lost:
            raise PortLostError(f"{self.name} lost port {lost[0]} to another program; {otherwise}")

    def stop(self) -> None:
        """End it the way its operator would, by force when it does not obey; nothing is left behind."""
        if self._process is not None and self.alive:
            self.resume()
            self._process.send_signal(self.stop_signal)
            try:
                self._process.wait(self.stop_timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(self.stop_timeout)
        orphans.reap(self.directory)

    def terminate(self) -> None:
        """Send the stop signal and return at once."""
        self._signal(self.stop_signal)

    def kill(self) -> None:
        """`kill -9` of the main process and of nothing else; its children fare as they would in earnest."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(self.stop_timeout)

    def pause(self) -> None:
        """Freeze the main process (SIGSTOP): connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        self._signal(signal.SIGCONT)

    @property
    def pid(self) -> int | None:
        """The main process's id, also after its death."""
        return self._process.pid if self._process else None

    @property
    def returncode(self) -> int | None:
        """None while running; negative: killed by that signal."""
        return self._process.poll() if self._process else None

    @property
    def alive(self) -> bool:
        """Whether the main process runs (frozen counts as running)."""
        return self._process is not None and self._process.poll() is None

    def tail(self, lines: int = 20) -> str:
        """The last lines of what it said since its latest start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def run(self, *command: str, timeout: float = 60.0) -> None:
        """Run a helper program (initdb) as the server would run; `StackError` when it fails."""
        with self._open_log() as log:
            self._log_start = log.tell()
            process = _spawner.submit(self._popen, command, log).result()
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
        if code != 0:
            raise StackError(f"{Path(command[0]).name} ended with {code}; it said:\n{self.tail()}")

    def _popen(self, command: Sequence[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        who = f"{self._account.uid}:{self._account.gid}" if self._account else "-"
        prefix = [
            sys.executable,
            "-I",
            "-S",
            launcher.__file__,
            str(os.getpid()),
            who,
            str(int(self.orphan_signal)),
        ]
        return subprocess.Popen(  # noqa: S603  (our own programs)
            [*prefix, *command],
            cwd=self.directory,
            env=dict(self.environment()),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
        )

    def _open_log(self) -> IO[bytes]:
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        log = self.log.open("ab")
        if self._account:
            os.fchown(log.fileno(), self._account.uid, self._account.gid)  # nginx opens /dev/stdout once more
        return log

    @property
    def _account(self) -> Account | None:
        return self.directories.account if self.drops_root else None

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.alive:
            self._process.send_signal(number)
