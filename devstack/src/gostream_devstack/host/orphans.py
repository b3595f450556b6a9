"""Finds processes left by a killed supervisor or server, by their working directory.

Every process of the stack works in or below its `servers/<name>/`. This also finds processes without a
telling command line or environment (nginx workers, PostgreSQL backends).
"""

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil

from gostream_devstack.errors import StackError


def find(directory: Path) -> list[psutil.Process]:
    """Returns processes in or below `directory` without a terminal, since servers never have one."""
    return [process for process in psutil.process_iter() if _belongs(process, directory)]


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


def _belongs(process: psutil.Process, directory: Path) -> bool:
    try:
        if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return False
        place = Path(process.cwd().removesuffix(" (deleted)"))
        return place.is_relative_to(directory) and not _has_terminal(process)
    except (psutil.Error, OSError):
        return False


def _has_terminal(process: psutil.Process) -> bool:
    """Asks the kernel if possible: psutil only knows the terminals that existed at its first call."""
    if not psutil.LINUX:
        return process.terminal() is not None
    after_name = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return after_name[4] != "0"
