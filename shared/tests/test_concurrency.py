"""Background tasks end with their block, even if they swallow a cancellation; long loops let others run."""

import asyncio
from itertools import pairwise

import pytest

from gostream_shared import concurrency
from gostream_shared.concurrency import in_background, map_in_slices


async def test_work_runs_until_the_block_ends() -> None:
    ran, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        ran.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with asyncio.timeout(10), in_background(work()):
        await ran.wait()
        assert not ended.is_set()

    assert ended.is_set()


async def test_task_that_swallows_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "_PATIENCE", 0.01)
    lost = 0
    ran = asyncio.Event()

    async def work() -> None:
        nonlocal lost
        ran.set()
        while lost < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
        await asyncio.Event().wait()

    async with asyncio.timeout(10), in_background(work()):
        await ran.wait()

    assert lost == 2


async def test_failed_task_does_not_fail_the_block() -> None:
    async def work() -> None:
        raise ValueError("its own affair")

    async with asyncio.timeout(10), in_background(work()):
        await asyncio.sleep(0)


@pytest.mark.parametrize("count", [0, 1, 50, 51, 1000])
async def test_slices_return_all_items_in_order(count: int) -> None:
    assert await map_in_slices(str, range(count)) == [str(number) for number in range(count)]


async def test_other_tasks_run_between_slices() -> None:
    converted: list[int] = []
    mapping = asyncio.ensure_future(map_in_slices(converted.append, range(1000)))
    seen = [0]
    while not mapping.done():
        await asyncio.sleep(0)
        seen.append(len(converted))

    assert max(later - earlier for earlier, later in pairwise(seen)) <= 50
