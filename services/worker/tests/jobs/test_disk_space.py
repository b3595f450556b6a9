"""A worker whose disk is full claims nothing until there is room."""

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
    """A folder in which not even root can make a file."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    return Path("/proc/self/fd")


def test_folder_with_room_is_no_obstacle(tmp_path: Path) -> None:
    assert obstacle(tmp_path, 1) is None
    assert list(tmp_path.iterdir()) == []


def test_less_than_the_reserve_is_an_obstacle(tmp_path: Path) -> None:
    assert f"WORK_DIR_RESERVE requires {LARGEST}" in str(obstacle(tmp_path, LARGEST))


def test_too_few_inodes_are_an_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "_INODES", LARGEST)
    if os.statvfs(tmp_path).f_files == 0:
        pytest.skip("this file system does not count inodes")

    assert "free inodes" in str(obstacle(tmp_path, 1))


def test_folder_that_cannot_be_written_is_an_obstacle(read_only: Path) -> None:
    assert "not writable" in str(obstacle(read_only, 0))


def test_folder_that_is_gone_is_an_obstacle(tmp_path: Path) -> None:
    assert obstacle(tmp_path / "gone", 1) == "not writable: No such file or directory"


async def test_room_follows_the_disk(tmp_path: Path) -> None:
    folder, seen = tmp_path / "work", asyncio.Queue[bool]()
    space = DiskSpace(folder, reserve=1, changed=seen.put)
    looking = asyncio.create_task(space.run())

    try:
        async with asyncio.timeout(30):
            assert await seen.get() is False
            folder.mkdir()
            assert await seen.get() is True
            folder.rmdir()
            assert await seen.get() is False
    finally:
        looking.cancel()


async def test_attempt_that_finds_it_full_closes_it_for_a_while(tmp_path: Path) -> None:
    seen = asyncio.Queue[bool]()
    space = DiskSpace(tmp_path, reserve=1, changed=seen.put)
    looking = asyncio.create_task(space.run())

    try:
        async with asyncio.timeout(30):
            assert await seen.get() is True
            space.found_full()
            at_once = space.is_free  # the next claim may come before the next look
            assert await seen.get() is False
            assert await seen.get() is True
    finally:
        looking.cancel()
    assert at_once is False


async def test_attempt_without_a_folder_is_the_workers_fault(tmp_path: Path) -> None:
    with WorkDirectory.open(tmp_path / "work") as work:
        for path in (tmp_path / "work").iterdir():
            path.rename(tmp_path / "moved")

        with pytest.raises(WorkerFullError, match="No such file or directory"):
            async with work.attempt():
                pass


@pytest.mark.parametrize("path", ["/proc/none/work", "/etc/hostname"])
def test_folder_that_cannot_be_used_ends_the_start(path: str) -> None:
    with (
        pytest.raises(MisconfiguredError, match=f"WORK_DIR {path} cannot be used"),
        WorkDirectory.open(Path(path)),
    ):
        pass
