"""Finds processes left by a killed supervisor or server, by their working directory.

Every process of the stack works in or below its `servers/<name>/`. This also finds processes without a
telling command line or environment (nginx workers, PostgreSQL backends). The kernel hides the working
directory of a process that is not dumpable, such as a worker, from an unprivileged user: main processes are
also recorded by their id and start time.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil

from gostream_devstack.errors import StackError

_RECORD = ".process"  # servers/<name>.process, in a directory that the servers' account cannot write


def record(directory: Path, pid: int) -> None:
    """Records the main process of the server in `directory`."""
    with suppress(OSError):  # the process has ended
        directory.with_name(directory.name + _RECORD).write_text(f"{pid} {_started(pid)}")


def find(directory: Path) -> list[psutil.Process]:
    """Returns processes in or below `directory` without a terminal, since servers never have one."""
    recorded = _recorded(directory)
    return [process for process in psutil.process_iter() if _belongs(process, directory, recorded)]


def reap(directory: Path, timeout: float = 10.0) -> int:
    """Kills every process that still runs below `directory`. Returns their number.

    Zombies count as ended: in a container they may never be collected.
    """
    ended: set[int] = set()
    deadline = time.monotonic() + timeout
    while found := find(directory):  # repeatedly, because a dying master may still fork
        if time.monotonic() > deadline:
            raise StackError(f"processes in {directory} do not end: {[each.pid for each in found]}")
        for orphan in found:
            with suppress(psutil.NoSuchProcess):
                orphan.kill()
            ended.add(orphan.pid)
        time.sleep(0.02)
    return len(ended)


def _recorded(directory: Path) -> set[int]:
    """Returns the running main processes among those recorded for `directory` and its content."""
    found = set()
    for path in (directory.with_name(directory.name + _RECORD), *directory.glob(f"*{_RECORD}")):
        with suppress(OSError, ValueError):
            if path.stat().st_uid != os.geteuid():  # another user's record could make us kill any process
                continue
            pid, started = path.read_text().split()
            if _started(int(pid)) == started:
                found.add(int(pid))
    return found


def _belongs(process: psutil.Process, directory: Path, recorded: set[int]) -> bool:
    try:
        if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return False
        if process.pid in recorded:
            return True
        place = Path(process.cwd().removesuffix(" (deleted)"))
        return place.is_relative_to(directory) and not _has_terminal(process)
    except (psutil.Error, OSError):
        return False


def _has_terminal(process: psutil.Process) -> bool:
    """Asks the kernel if possible: psutil only knows the terminals that existed at its first call."""
    if not psutil.LINUX:
        return process.terminal() is not None
    return _stat(process.pid)[4] != "0"


def _started(pid: int) -> str:
    """Returns the process's start in ticks since boot. With the id it identifies the process."""
    return _stat(pid)[19]


def _stat(pid: int) -> list[str]:
    """Returns the fields of /proc/PID/stat after the name, which every user may read."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
