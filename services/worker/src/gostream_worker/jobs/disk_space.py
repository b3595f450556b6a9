"""Checks the work directory for space for another encode. Without it no job is claimed."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from gostream_worker.metrics import HAS_ROOM

_log = structlog.stdlib.get_logger("gostream.room")

#: Seconds between two checks.
LOOK_INTERVAL = 5.0
#: Seconds without a claim after a write failed although space seems free, for example with a quota.
FULL_PAUSE = 30.0
#: Minimum number of free inodes. An attempt creates thousands of files.
_INODES = 4096
#: Bytes written to test writing: more than a file system keeps inside an inode.
_TRIAL = bytes(64 * 1024)


class DiskSpace:
    """Checks the directory at intervals. `is_free` is the latest result.

    Calls `changed` with every new result, and with the first one.
    """

    def __init__(self, path: Path, *, reserve: int, changed: Callable[[bool], Awaitable[None]]) -> None:
        self._path = path
        self._reserve = reserve
        self._changed = changed
        self._full = asyncio.Event()
        self.is_free = True

    def found_full(self) -> None:
        """Records that an attempt could not write. No job is claimed for FULL_PAUSE seconds."""
        self.is_free = False
        self._full.set()

    async def run(self) -> None:
        """Checks until cancelled."""
        reported: bool | None = None
        while True:
            why = await asyncio.to_thread(obstacle, self._path, self._reserve)
            if self._full.is_set():
                why = why or "an attempt could not write although space seems free"
            self.is_free = why is None
            if self.is_free is not reported:
                reported = self.is_free
                self._report(why)
                await self._changed(reported)
            pause = FULL_PAUSE if self._full.is_set() else LOOK_INTERVAL
            self._full.clear()
            await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        """Pauses. Ends early if an attempt finds the disk full, unless that is already known."""
        if not self.is_free:
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._full.wait()
        except TimeoutError:
            pass

    def _report(self, why: str | None) -> None:
        HAS_ROOM.set(float(self.is_free))
        if why is None:
            _log.info("claiming jobs", work_dir=str(self._path))
        else:
            _log.warning("not claiming jobs", work_dir=str(self._path), reason=why)


def obstacle(path: Path, reserve: int) -> str | None:
    """Returns the reason why no attempt should begin below `path`, or None.

    Blocks as long as the file system does.
    """
    try:
        found = os.statvfs(path)
        free = found.f_bavail * found.f_frsize
        if free < reserve:
            return f"{free} bytes free; WORK_DIR_RESERVE requires {reserve}"
        if reserve and found.f_files and found.f_favail < _INODES:  # some file systems do not count them
            return f"only {found.f_favail} free inodes"
        with tempfile.TemporaryFile(dir=path) as trial:
            trial.write(_TRIAL)
    except OSError as error:
        return f"not writable: {error.strerror}"
    return None
