"""Processes that a killed supervisor or server left behind, found by where they stand.

Every process of the stack has its working directory below its own `servers/<name>/`. That also finds those
whose command line and environment say nothing (nginx workers, PostgreSQL backends).
"""

import os
from pathlib import Path

import psutil

from gostream_devstack.errors import StackError


def find(directory: Path) -> list[psutil.Process]:
    """Processes standing in or below `directory`, except a person's: those have a terminal, ours never."""
    return [process for process in psutil.process_iter() if _belongs(process, directory)]


def reap(directory: Path) -> int:
    """Kill whatever still runs below `directory`; return how many there were."""
    count = 0
    for _ in range(5):  # a dying master may still be forking
        orphans = find(directory)
        if not orphans:
            return count
        count += len(orphans)
        for orphan in orphans:
            try:
                orphan.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(orphans, timeout=5)
    raise StackError(f"processes in {directory} do not go away: {[orphan.pid for orphan in orphans]}")


def _belongs(process: psutil.Process, directory: Path) -> bool:
    try:
        if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return False
        place = Path(process.cwd().removesuffix(" (deleted)"))
        return place.is_relative_to(directory) and process.terminal() is None
    except psutil.Error:
        return False
