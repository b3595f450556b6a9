"""A real server: a child process with a directory, a log and a readiness check."""

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
# Linux kills a child when the *thread* that spawned it ends, so one permanent thread spawns all.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class Server(ABC):
    """A server on loopback that can be started, stopped, killed, frozen and restarted.

    Every method blocks; call it from a thread if an event loop must continue. `start` works after any kind of
    death.
    """

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    stop_timeout: ClassVar[float] = 10.0
    # The signal that the kernel sends if the supervisor dies.
    orphan_signal: ClassVar[signal.Signals] = signal.SIGKILL
    # Whether the supervisor restarts it after its death. Otherwise its death ends the stack.
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
        """The program by its full path, and its arguments."""

    @abstractmethod
    def ready(self) -> bool:
        """Checks once whether the server can do its work. Must not raise while it cannot."""

    def environment(self) -> Mapping[str, str]:
        """All environment variables of the server."""
        return {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(self.directory)}

    def prepare(self) -> None:  # noqa: B027  (most have nothing to add)
        """Writes files before the start. `self.directory` exists and no process runs in it."""

    def settle(self) -> None:  # noqa: B027
        """Creates required content once the server is ready. Repeated on every start."""

    def start(self, timeout: float = 60.0) -> None:
        """Starts and waits until ready. Raises StackError with the end of the log."""
        self.spawn()
        self.wait_ready(timeout)

    def spawn(self) -> None:
        """Starts without waiting, after killing processes left by an earlier start."""
        if self.alive:
            raise StackError(f"{self.name} is already running (pid {self.pid})")
        orphans.reap(self.directory)
        self._require_ports("it was not started")
        self.directories.make(self.directory)
        self.prepare()
        with self._open_log() as log:
            self._log_start = log.tell()
            self._process = _spawner.submit(self._popen, self.command(), log).result()
        orphans.record(self.directory, self._process.pid)

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Polls `ready`, then calls `settle`."""
        deadline = time.monotonic() + timeout
        while not (self.ready() and self._is_listening()):
            if not self.alive:
                end = f"ended with {self.returncode}; its log:\n{self.tail()}"
                self._require_ports(f"it {end}")
                raise StackError(f"{self.name} {end}")
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} is not ready after {timeout:.0f} s; its log:\n{self.tail()}")
            time.sleep(0.03)
        self.settle()

    @property
    def ports(self) -> tuple[int, ...]:
        """The listening ports that the stack chooses."""
        return (self.port,)

    def _is_listening(self) -> bool:
        """Returns whether this server has the port: another program that took it may answer as ready."""
        if not self.alive:
            return False
        try:
            main = psutil.Process(self.pid)
            found = [each for one in (main, *main.children(recursive=True)) for each in one.net_connections()]
        except psutil.Error:  # the child has just ended, or access is denied
            return self.alive
        return any(each.status == psutil.CONN_LISTEN and each.laddr.port == self.port for each in found)

    def _require_ports(self, otherwise: str) -> None:
        """Raises PortLostError if another program has one of the ports. Call it only if not alive."""
        lost = [port for port in self.ports if not is_free(port)]
        if lost:
            raise PortLostError(f"{self.name} lost port {lost[0]} to another program; {otherwise}")

    def stop(self) -> None:
        """Stops the server gracefully, by force after a timeout, and its remaining processes."""
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
        """Sends the stop signal and returns immediately."""
        self._signal(self.stop_signal)

    def kill(self) -> None:
        """Sends `kill -9` only to the main process.

        Its children are left to themselves, as in a real crash.
        """
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(self.stop_timeout)

    def pause(self) -> None:
        """Freezes the main process (SIGSTOP): connections stay open without answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undoes `pause`."""
        self._signal(signal.SIGCONT)

    @property
    def pid(self) -> int | None:
        """The main process's id, even after its death."""
        return self._process.pid if self._process else None

    @property
    def returncode(self) -> int | None:
        """None while running; negative if killed by that signal."""
        return self._process.poll() if self._process else None

    @property
    def alive(self) -> bool:
        """Whether the main process runs (frozen counts as running)."""
        return self._process is not None and self._process.poll() is None

    def tail(self, lines: int = 20) -> str:
        """Returns the last log lines since the latest start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def run(self, *command: str, timeout: float = 60.0) -> None:
        """Runs a helper program (initdb) like the server. Raises StackError if it fails."""
        with self._open_log() as log:
            self._log_start = log.tell()
            process = _spawner.submit(self._popen, command, log).result()
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
        if code != 0:
            raise StackError(f"{Path(command[0]).name} ended with {code}; its log:\n{self.tail()}")

    def _popen(self, command: Sequence[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        who = f"{self.account.uid}:{self.account.gid}" if self.account else "-"
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
        if self.account:
            os.fchown(log.fileno(), self.account.uid, self.account.gid)  # nginx reopens /dev/stdout
        return log

    @property
    def account(self) -> Account | None:
        """The account of the server; None: the user who starts it."""
        return self.directories.account

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.alive:
            self._process.send_signal(number)
