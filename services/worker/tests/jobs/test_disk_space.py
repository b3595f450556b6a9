"""A worker with a full disk claims no job until space is free."""

import asyncio
import os
from pathlib import Path

import pytest

from gostream_shared.domain.errors import MisconfiguredError
from gostream_worker.failures import WorkerFullError
from gostream_worker.jobs import disk_space as room_module
from gostream_worker.jobs.disk_space import DiskSpace, obstacle
from gostream_worker.source.work_directory import WorkDirectory

LARGEST = 1 << 60


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "LOOK_INTERVAL", 0.02)
    monkeypatch.setattr(room_module, "FULL_PAUSE", 0.05)


@pytest.fixture
def read_only() -> Path:
    """A folder in which even root cannot create a file."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    return Path("/proc/self/fd")


def test_folder_with_free_space_passes(tmp_path: Path) -> None:
    assert obstacle(tmp_path, 1) is None
    assert list(tmp_path.iterdir()) == []


def test_too_little_free_space_is_reported(tmp_path: Path) -> None:
    assert f"WORK_DIR_RESERVE requires {LARGEST}" in str(obstacle(tmp_path, LARGEST))


def test_too_few_inodes_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "_INODES", LARGEST)
    if os.statvfs(tmp_path).f_files == 0:
        pytest.skip("this file system does not count inodes")

    assert "free inodes" in str(obstacle(tmp_path, 1))


def test_unwritable_folder_is_reported(read_only: Path) -> None:
    assert "not writable" in str(obstacle(read_only, 0))


def test_missing_folder_is_reported(tmp_path: Path) -> None:
    assert obstacle(tmp_path / "gone", 1) == "not writable: No such file or directory"


async def test_claims_resume_when_space_is_free(tmp_path: Path) -> None:
    folder, seen = tmp_path / "work", asyncio.Queue[bool]()
    space = DiskSpace(folder, reserve=1, changed=seen.put)
    looking = asyncio.create_task(space.run())

    try:
        async with asyncio.timeout(300):
            assert await seen.get() is False
            folder.mkdir()
            assert await seen.get() is True
            folder.rmdir()
            assert await seen.get() is False
    finally:
        looking.cancel()


async def test_full_disk_during_an_attempt_pauses_claims(tmp_path: Path) -> None:
    seen = asyncio.Queue[bool]()
    space = DiskSpace(tmp_path, reserve=1, changed=seen.put)
    looking = asyncio.create_task(space.run())

    try:
        async with asyncio.timeout(300):
            assert await seen.get() is True
            space.found_full()
            at_once = space.is_free  # a claim may precede the next check
            assert await seen.get() is False
            assert await seen.get() is True
    finally:
        looking.cancel()
    assert at_once is False


async def test_missing_work_folder_is_reported_as_worker_fault(tmp_path: Path) -> None:
    with WorkDirectory.open(tmp_path / "work") as work:
        for path in (tmp_path / "work").iterdir():
            path.rename(tmp_path / "moved")

        with pytest.raises(WorkerFullError, match="No such file or directory"):
            async with work.attempt():
                pass


@pytest.mark.parametrize("path", ["/proc/none/work", "/etc/hostname"])
def test_unusable_work_folder_stops_the_start(path: str) -> None:
    with (
        pytest.raises(MisconfiguredError, match=f"WORK_DIR {path} cannot be used"),
        WorkDirectory.open(Path(path)),
    ):
        pass
