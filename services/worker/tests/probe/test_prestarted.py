"""The probe that waits for the next attempt."""

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
    """Those that were started since the test began."""
    before = set(children_of_this_process())
    return lambda: [pid for pid in children_of_this_process() if pid not in before]


async def look(probe: StartedProbe, source: Path) -> None:
    found = await probe.inspect(f"file:{source.name}", folder=source.parent)
    assert found == await probe_source(f"file:{source}", folder=Path("/"))


async def test_every_attempt_has_a_child_of_its_own_that_was_there_before(
    source: Path, children: Children
) -> None:
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


async def test_attempts_at_once_have_their_own_and_leave_one_behind(source: Path, children: Children) -> None:
    async def attempt(kept: PrestartedProbe) -> None:
        async with kept.take() as probe:
            await look(probe, source)
            await everyone.wait()

    everyone = asyncio.Barrier(3)
    async with PrestartedProbe.kept() as kept:
        await asyncio.gather(*(attempt(kept) for _ in range(3)))

        assert len(children()) == 1


async def test_a_folder_that_is_gone_is_no_fault_of_the_source(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ProcessingFailedError) as raised:
        await probe_source(f"file:{source}", folder=tmp_path / "gone")

    assert raised.value.code is Code.INTERNAL


async def test_one_that_died_while_it_waited_is_replaced(source: Path, children: Children) -> None:
    async with PrestartedProbe.kept() as kept:
        [waiting] = children()
        os.kill(waiting, 9)
        await eventually(lambda: not children())

        async with kept.take() as probe:
            await look(probe, source)


async def test_a_failed_attempt_leaves_none_behind_and_the_next_one_starts_its_own(
    source: Path, children: Children
) -> None:
    async with PrestartedProbe.kept() as kept:
        with pytest.raises(LookupError):
            async with kept.take():
                raise LookupError
        assert not children()

        async with kept.take() as probe:
            await look(probe, source)


async def test_an_attempt_that_is_done_does_not_fail_for_the_next_ones_probe(
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
