"""Tests the long run: a history that hangs or fails is reported with its seed, and the others run."""

import asyncio
from contextvars import copy_context

import pytest

from tests.proof import long_run
from tests.proof.checker import Violation
from tests.proof.loop import PROCESS, HungError, SeededLoop
from tests.proof.simulate import Summary


async def _for_ever() -> None:
    while True:
        await asyncio.sleep(1)


async def _for_nobody() -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    ("history", "what"), [(_for_ever, "still running"), (_for_nobody, "nothing will ever happen")]
)
def test_endless_history_is_stopped(history: object, what: str) -> None:
    loop = SeededLoop(0, max_steps=1000)  # type: ignore[abstract]  # implements only the used methods
    with pytest.raises(HungError, match=what):
        loop.run_until_complete(history())  # type: ignore[operator]


def test_frozen_process_runs_its_callbacks_later() -> None:
    loop = SeededLoop(0)  # type: ignore[abstract]
    seen: list[float] = []

    async def tell() -> None:
        seen.append(loop.time())

    async def history() -> None:
        context = copy_context()
        context.run(PROCESS.set, "one")
        loop.freeze("one")
        loop.call_later(5, loop.thaw, "one")
        frozen = loop.create_task(tell(), context=context)
        await loop.create_task(tell())
        await frozen

    loop.run_until_complete(history())
    assert seen == [0.0, 5.0]


def test_failing_seed_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def simulate(seed: int) -> Summary:
        if seed == 1:
            raise Violation("S1: an example")
        if seed == 2:
            raise ValueError("a defect")
        while seed == 3:
            pass
        return Summary(reads=10, loads=1, rejected=1, digest=0)

    monkeypatch.setattr(long_run, "simulate", simulate)
    tally = long_run.run(range(5), patience=0.2)

    assert (tally.seeds, tally.reads, tally.rejected) == (5, 20, 2)
    violated, defect, hung = tally.failures
    assert "S1: an example" in violated
    assert "a defect" in defect
    assert "hung" in hung
    assert "python -m tests.proof --seed 3" in hung


def test_every_seed_is_counted_once() -> None:
    *_, total = long_run.run_everywhere(range(1000, 1045))
    assert (total.seeds, total.failures) == (45, [])
    assert total.reads > 1000
