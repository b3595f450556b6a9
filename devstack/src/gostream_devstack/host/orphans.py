"""Processes that a killed supervisor or server left behind, found by where they stand.

Every process of the stack has its working directory below its own `servers/<name>/`. That also finds those
whose command line and environment say nothing (nginx workers, PostgreSQL backends).
"""

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil

from gostream_devstack.errors import StackError


def find(directory: Path) -> list[psutil.Process]:
    """Processes standing in or below `directory`, except a person's: those have a terminal, ours never."""
    return [process for process in psutil.process_iter() if _belongs(process, directory)]


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


def _belongs(process: psutil.Process, directory: Path) -> bool:
    try:
        if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return False
        place = Path(process.cwd().removesuffix(" (deleted)"))
        return place.is_relative_to(directory) and not _has_terminal(process)
    except (psutil.Error, OSError):
        return False


def _has_terminal(process: psutil.Process) -> bool:
    """Asked of the kernel where possible: psutil knows only the terminals there were at its first look."""
    if not psutil.LINUX:
        return process.terminal() is not None
    after_name = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return after_name[4] != "0"
