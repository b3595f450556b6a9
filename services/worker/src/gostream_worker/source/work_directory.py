"""Private directories for attempts, and removal of the directories of dead workers."""

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
    """This process's directory below the configured one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    @contextmanager
    def open(cls, base: Path) -> Iterator[Self]:
        """Creates the directory, removes those of dead workers, and removes its own at the end.

        A live worker holds a lock on a file in its directory; the kernel releases it with the process. Raises
        MisconfiguredError if the directory cannot be written.
        """
        try:
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sweep(base)  # first, because directories of dead workers may fill the disk
            path = Path(tempfile.mkdtemp(prefix="worker-", dir=base))
            lock = _lock(path / _UNLOCKED)
            (path / _UNLOCKED).rename(path / _LOCK)  # other workers check the lock only from now on
        except OSError as error:
            raise MisconfiguredError(f"WORK_DIR {base} cannot be used: {error.strerror}") from error
        try:
            yield cls(path)
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[Path]:
        """Yields a directory for one attempt and always removes it. Raises WorkerFullError."""
        try:
            folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="attempt-", dir=self._path))
        except OSError as error:  # full, read-only, or removed by another program
            raise WorkerFullError(f"the work directory is not writable: {error.strerror}") from error
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
        if not (path / _LOCK).exists():  # another worker, between its mkdir and its lock
            continue
        try:
            lock = _lock(path / _LOCK)
        except OSError:
            continue  # alive
        _log.info("removing the directory of a dead worker", path=str(path))
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)
