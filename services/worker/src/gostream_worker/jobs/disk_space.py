"""Whether the work directory has room for one more encode; while it has not, no job is claimed."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from gostream_worker.metrics import HAS_ROOM

_log = structlog.stdlib.get_logger("gostream.room")

#: Seconds between two looks.
LOOK_INTERVAL = 5.0
#: Seconds without a claim after a disk was found full that looks as if it had room: a quota, for example.
FULL_PAUSE = 30.0
#: Files that can still be made, below which there is no room. An attempt makes thousands.
_INODES = 4096
#: Bytes written to see that writing works: more than a file system keeps inside an inode.
_TRIAL = bytes(64 * 1024)


class Room:
    """Looks at the directory at intervals; `is_free` is the latest result.

    `changed` is called with it whenever it changes, and once at the beginning.
    """

    def __init__(self, path: Path, *, reserve: int, changed: Callable[[bool], Awaitable[None]]) -> None:
        self._path = path
        self._reserve = reserve
        self._changed = changed
        self._full = asyncio.Event()
        self.is_free = True

    def found_full(self) -> None:
        """An attempt ended because nothing more could be written: claim nothing for FULL_PAUSE seconds."""
        self.is_free = False
        self._full.set()

    async def run(self) -> None:
        """Look until cancelled."""
        told: bool | None = None
        while True:
            why = await asyncio.to_thread(obstacle, self._path, self._reserve)
            if self._full.is_set():
                why = why or "an attempt could not write, though there seems to be room"
            self.is_free = why is None
            if self.is_free is not told:
                told = self.is_free
                self._report(why)
                await self._changed(told)
            pause = FULL_PAUSE if self._full.is_set() else LOOK_INTERVAL
            self._full.clear()
            await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        """Ends early if an attempt finds the disk full, except while that is known already."""
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
            _log.info("jobs are claimed", work_dir=str(self._path))
        else:
            _log.warning("no job is claimed", work_dir=str(self._path), reason=why)


def obstacle(path: Path, reserve: int) -> str | None:
    """Why no attempt should begin below `path`, or None. Blocks for as long as the file system does."""
    try:
        found = os.statvfs(path)
        free = found.f_bavail * found.f_frsize
        if free < reserve:
            return f"{free} bytes are free; WORK_DIR_RESERVE asks for {reserve}"
        if reserve and found.f_files and found.f_favail < _INODES:  # some file systems do not count them
            return f"only {found.f_favail} more files can be made"
        with tempfile.TemporaryFile(dir=path) as trial:
            trial.write(_TRIAL)
    except OSError as error:
        return f"it cannot be written: {error.strerror}"
    return None
