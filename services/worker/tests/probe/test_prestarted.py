"""The probe process that is started before the next attempt."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.probe import prestarted
from gostream_worker.probe.prestarted import PrestartedProbe
from gostream_worker.probe.probe import StartedProbe, probe_source
from services.worker.tests import clips
from services.worker.tests.clips import Clips
from services.worker.tests.sandbox.test_process import alive, children_of_this_process
from tests.support.waiting import eventually

Children = Callable[[], list[int]]


@pytest.fixture
def source(clip: Clips) -> Path:
    return clip(clips.plain)


@pytest.fixture
def children() -> Children:
    """Child processes started since the test began."""
    before = set(children_of_this_process())
    return lambda: [pid for pid in children_of_this_process() if pid not in before]


async def look(probe: StartedProbe, source: Path) -> None:
    found = await probe.inspect(f"file:{source.name}", folder=source.parent)
    assert found == await probe_source(f"file:{source}", folder=Path("/"))


async def test_every_attempt_gets_its_own_prestarted_child(source: Path, children: Children) -> None:
    seen: set[int] = set()
    async with PrestartedProbe.kept() as kept:
        for _ in range(3):
            [waiting] = children()
            async with kept.take() as probe:
                await look(probe, source)
                assert not alive(waiting)
            seen.add(waiting)

    assert len(seen) == 3
    assert not children()


async def test_parallel_attempts_get_separate_children(source: Path, children: Children) -> None:
    async def attempt(kept: PrestartedProbe) -> None:
        async with kept.take() as probe:
            await look(probe, source)
            await everyone.wait()

    everyone = asyncio.Barrier(3)
    async with PrestartedProbe.kept() as kept:
        await asyncio.gather(*(attempt(kept) for _ in range(3)))

        assert len(children()) == 1


async def test_missing_folder_is_no_source_failure(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ProcessingFailedError) as raised:
        await probe_source(f"file:{source}", folder=tmp_path / "gone")

    assert raised.value.code is Code.INTERNAL


async def test_dead_prestarted_child_is_replaced(source: Path, children: Children) -> None:
    async with PrestartedProbe.kept() as kept:
        [waiting] = children()
        os.kill(waiting, 9)
        await eventually(lambda: not children())

        async with kept.take() as probe:
            await look(probe, source)


async def test_no_child_is_prestarted_after_a_failed_attempt(source: Path, children: Children) -> None:
    async with PrestartedProbe.kept() as kept:
        with pytest.raises(LookupError):
            async with kept.take():
                raise LookupError
        assert not children()

        async with kept.take() as probe:
            await look(probe, source)


async def test_failed_prestart_does_not_fail_the_attempt(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more_processes(**_: object) -> NoReturn:
        raise BlockingIOError("fork")

    async with PrestartedProbe.kept() as kept:
        async with kept.take() as probe:
            monkeypatch.setattr(prestarted, "starting_probe", no_more_processes)
            await look(probe, source)
        monkeypatch.undo()

        async with kept.take() as probe:
            await look(probe, source)
