"""Processes that a killed supervisor or server left behind, found by where they stand.

Every process of the stack has its working directory below its own `servers/<name>/`. That also finds those
whose command line and environment say nothing (nginx workers, PostgreSQL backends). The kernel hides the
working directory of a process that is not dumpable, such as a worker, from a user without rights: main
processes are also recorded by their id and the time of their start.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil

from gostream_devstack.errors import StackError

_RECORD = ".process"  # servers/<name>.process, in a directory that the servers' account cannot write


def record(directory: Path, pid: int) -> None:
    """Remember the main process of the server in `directory`."""
    with suppress(OSError):  # it has ended
        directory.with_name(directory.name + _RECORD).write_text(f"{pid} {_started(pid)}")


def find(directory: Path) -> list[psutil.Process]:
    """Processes standing in or below `directory`, except a person's: those have a terminal, ours never."""
    recorded = _recorded(directory)
    return [process for process in psutil.process_iter() if _belongs(process, directory, recorded)]


def reap(directory: Path, timeout: float = 10.0) -> int:
    """Kill whatever still runs below `directory`; return how many there were.

    One that only waits to be collected by its parent counts as gone: in a container it may wait for ever.
    """
    ended: set[int] = set()
    deadline = time.monotonic() + timeout
    while found := find(directory):  # again, because a dying master may still be forking
        if time.monotonic() > deadline:
            raise StackError(f"processes in {directory} do not go away: {[each.pid for each in found]}")
        for orphan in found:
            with suppress(psutil.NoSuchProcess):
                orphan.kill()
            ended.add(orphan.pid)
        time.sleep(0.02)
    return len(ended)


def _recorded(directory: Path) -> set[int]:
    """The main processes, of those recorded for `directory` and what is in it, that still run."""
    found = set()
    for path in (directory.with_name(directory.name + _RECORD), *directory.glob(f"*{_RECORD}")):
        with suppress(OSError, ValueError):
            if path.stat().st_uid != os.geteuid():  # whoever wrote it could have us kill anything
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
    """Asked of the kernel where possible: psutil knows only the terminals there were at its first look."""
    if not psutil.LINUX:
        return process.terminal() is not None
    return _stat(process.pid)[4] != "0"


def _started(pid: int) -> str:
    """Ticks from the machine's start to the process's: with the id, the same for no other process."""
    return _stat(pid)[19]


def _stat(pid: int) -> list[str]:
    """What /proc/PID/stat has after the name. Everybody may read it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
