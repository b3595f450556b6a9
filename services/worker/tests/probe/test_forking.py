"""The process that forks the children which probe."""

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.probe.forking import kept
from gostream_worker.probe.forking.kept import ProbeServer
from gostream_worker.probe.probe import PROBE_LIMITS, StartedProbe, probe_source
from services.worker.tests import clips
from services.worker.tests.clips import Clips
from tests.support.waiting import eventually


@pytest.fixture
def source(clip: Clips) -> Path:
    return clip(clips.plain)


def below() -> list[psutil.Process]:
    """The processes below this one that belong to a server of probes, the server first."""
    return [
        each
        for each in psutil.Process().children(recursive=True)
        if any("forking.server" in part for part in each.cmdline())
    ]


async def forked(number: int = 1) -> list[psutil.Process]:
    """Waits for that many children of the server."""
    await eventually(lambda: len(below()) == 1 + number)
    return below()[1:]


def has_no_new_privileges(pid: int) -> bool:
    return "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()


async def look(probe: StartedProbe, source: Path) -> None:
    found = await probe.inspect(f"file:{source.name}", folder=source.parent)
    assert found == await probe_source(f"file:{source}", folder=Path("/"))


async def test_every_attempt_gets_its_own_child(source: Path) -> None:
    seen: set[int] = set()
    async with ProbeServer.kept() as server:
        for _ in range(3):
            async with server.take() as probe:
                [child] = await forked()
                seen.add(child.pid)
                await look(probe, source)
        await forked(0)

    assert len(seen) == 3
    assert not below()


async def test_child_has_own_group_and_limits() -> None:
    async with ProbeServer.kept() as server, server.take(), server.take():
        for child in await forked(2):
            await eventually(lambda: child.num_fds() == 3)  # noqa: B023 - called at once
            await eventually(lambda: child.rlimit(psutil.RLIMIT_NOFILE)[0] == PROBE_LIMITS.open_files)  # noqa: B023
            assert os.getpgid(child.pid) == child.pid
            assert child.environ() == {"HOME": "/nonexistent"}
            assert has_no_new_privileges(child.pid)
            assert child.rlimit(psutil.RLIMIT_CPU) == (PROBE_LIMITS.cpu_seconds,) * 2
            assert child.rlimit(psutil.RLIMIT_AS) == (PROBE_LIMITS.memory,) * 2


async def test_cancelled_attempt_ends_its_child() -> None:
    async with ProbeServer.kept() as server:
        with pytest.raises(LookupError):
            async with server.take():
                [child] = await forked()
                raise LookupError
        assert not child.is_running()


async def test_server_is_replaced_after_a_crash(source: Path) -> None:
    async with ProbeServer.kept() as server:
        async with server.take() as probe:
            [child] = await forked()
            first = below()[0].pid
            child.kill()
            with pytest.raises(ProcessingFailedError) as raised:
                await probe.inspect(f"file:{source.name}", folder=source.parent)
            assert raised.value.code is Code.RESOURCE_LIMIT
        async with server.take() as probe:
            await eventually(lambda: not psutil.pid_exists(first))
            await look(probe, source)


async def test_crash_leaves_other_attempts_alone(source: Path) -> None:
    async with ProbeServer.kept() as server, server.take() as other:
        async with server.take() as probe:
            (await forked(2))[1].kill()
            with pytest.raises(ProcessingFailedError):
                await probe.inspect(f"file:{source.name}", folder=source.parent)
        await look(other, source)


async def test_lost_server_does_not_fail_attempts(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_more_processes() -> None:
        raise BlockingIOError("fork")

    async with ProbeServer.kept() as server:
        below()[0].kill()
        await eventually(lambda: not below())
        monkeypatch.setattr(kept, "_start", no_more_processes)
        for _ in range(2):
            async with server.take() as probe:
                await look(probe, source)
        monkeypatch.undo()
        async with server.take() as probe:
            await forked()
            await look(probe, source)


async def test_server_ends_with_its_running_children() -> None:
    async with ProbeServer.kept() as server, asyncio.timeout(60):
        taken = server.take()
        await taken.__aenter__()
        await forked()
    await eventually(lambda: not below())


async def test_missing_folder_is_no_source_failure(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ProcessingFailedError) as raised:
        await probe_source(f"file:{source}", folder=tmp_path / "gone")

    assert raised.value.code is Code.INTERNAL
