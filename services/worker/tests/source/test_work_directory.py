"""Work directories are private and always removed."""

import asyncio
import fcntl
import stat
import sys
from pathlib import Path

import pytest

from gostream_worker.source.work_directory import WorkDirectory


def big_files(folder: Path) -> list[Path]:
    return list(folder.glob("worker-*/big"))


async def test_attempt_directory_is_private_and_always_removed(tmp_path: Path) -> None:
    with WorkDirectory.open(tmp_path / "work") as work:
        with pytest.raises(RuntimeError):
            async with work.attempt() as folder:
                (folder / "segment").write_bytes(b"x")
                assert stat.S_IMODE(folder.stat().st_mode) == 0o700
                raise RuntimeError
        assert not folder.exists()
    assert list((tmp_path / "work").iterdir()) == []


async def test_parallel_attempts_share_no_directory(tmp_path: Path) -> None:
    with WorkDirectory.open(tmp_path) as work:
        async with work.attempt() as one, work.attempt() as two:
            assert one != two


def test_starting_worker_spares_one_that_is_locking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock

    def interrupted(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        with WorkDirectory.open(tmp_path):
            pass
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", interrupted)
    with WorkDirectory.open(tmp_path):
        assert len(list(tmp_path.glob("worker-*/.lock"))) == 1


async def test_only_directories_of_dead_workers_are_removed(tmp_path: Path) -> None:
    script = f"""
import sys, time
from pathlib import Path
from gostream_worker.source.work_directory import WorkDirectory
with WorkDirectory.open(Path({str(tmp_path)!r})) as work:
    (work._path / "big").write_bytes(b"x")
    print("ready", flush=True)
    time.sleep(99)
"""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    assert await child.stdout.readline() == b"ready\n"

    with WorkDirectory.open(tmp_path):
        assert len(big_files(tmp_path)) == 1
    child.kill()
    await child.wait()
    with WorkDirectory.open(tmp_path):
        assert big_files(tmp_path) == []
