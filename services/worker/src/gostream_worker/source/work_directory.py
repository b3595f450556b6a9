"""Private directories for the attempts, and the removal of what dead workers left."""

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Self

import structlog

from gostream_shared.domain.errors import MisconfiguredError
from gostream_worker.failures import WorkerFullError

_log = structlog.stdlib.get_logger("gostream.workdir")
_LOCK = ".lock"
_UNLOCKED = ".unlocked"


class WorkDirectory:
    """This process's own directory below the configured one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    @contextmanager
    def open(cls, base: Path) -> Iterator[Self]:
        """Make it, remove those of workers that are dead, and remove it in the end.

        Who is alive holds a lock on a file in its directory, which the kernel gives up with the process.
        Raises MisconfiguredError if nothing can be written there.
        """
        try:
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sweep(base)  # before the first file: what the dead left may fill the disk
            path = Path(tempfile.mkdtemp(prefix="worker-", dir=base))
            lock = _lock(path / _UNLOCKED)
            (path / _UNLOCKED).rename(path / _LOCK)  # others look at it only now
        except OSError as error:
            raise MisconfiguredError(f"WORK_DIR {base} cannot be used: {error.strerror}") from error
        try:
            yield cls(path)
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[Path]:
        """A directory for one attempt, removed whatever happens. Raises WorkerFullError."""
        try:
            folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="attempt-", dir=self._path))
        except OSError as error:  # full, read-only, or removed by somebody
            raise WorkerFullError(f"the work directory cannot be written: {error.strerror}") from error
        try:
            yield folder
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sweep(base: Path) -> None:
    for path in base.glob("worker-*"):
        if not (path / _LOCK).exists():  # another one, between its mkdir and its lock
            continue
        try:
            lock = _lock(path / _LOCK)
        except OSError:
            continue  # alive
        _log.info("removing what a dead worker left", path=str(path))
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)
