"""Single flight: callers share loads without affecting each other."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import combinations
from typing import Any
from uuid import uuid4

import pytest

from gostream_api.reads.singleflight import SingleFlight
from gostream_shared.domain.errors import BackendUnavailableError, VersionNotReachedError
from tests.support.waiting import eventually


class Loads:
    """Loads that end when the gate opens. Each returns its number."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.gate = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return number


def callers(
    flights: SingleFlight[str, int], load: Callable[[], Coroutine[Any, Any, int]], count: int
) -> list[asyncio.Task[int]]:
    return [asyncio.create_task(flights.run("key", load)) for _ in range(count)]


async def test_concurrent_callers_share_one_load() -> None:
    flights, load = SingleFlight[str, int](), Loads()
    tasks = callers(flights, load, 500)
    await eventually(lambda: load.begun)
    load.gate.set()
    assert set(await asyncio.gather(*tasks)) == {1}
    assert await flights.run("key", load) == 2


@pytest.mark.parametrize("leavers", [c for n in range(4) for c in combinations(range(4), n)])
async def test_cancelled_callers_do_not_affect_the_others(leavers: tuple[int, ...]) -> None:  # R18
    flights, load = SingleFlight[str, int](), Loads()
    tasks = callers(flights, load, 4)
    await eventually(lambda: load.begun)
    for leaver in leavers:
        tasks[leaver].cancel()
    await asyncio.sleep(0)
    late = asyncio.create_task(flights.run("key", load))
    await asyncio.sleep(0)
    load.gate.set()
    results = await asyncio.gather(*tasks, late, return_exceptions=True)
    left = [number for number, result in enumerate(results) if isinstance(result, asyncio.CancelledError)]
    assert tuple(left) == leavers
    assert {result for result in results if isinstance(result, int)} == {1}
    assert (load.begun, load.cancelled) == (1, 0)


async def test_load_is_cancelled_with_its_last_caller() -> None:
    flights, load = SingleFlight[str, int](), Loads()
    tasks = callers(flights, load, 3)
    await eventually(lambda: load.begun)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    newcomer = asyncio.create_task(flights.run("key", load))
    await eventually(lambda: load.cancelled == 1 and load.begun == 2)
    load.gate.set()
    assert await newcomer == 2


async def test_errors_are_copied_per_caller_and_not_kept() -> None:  # R19
    flights = SingleFlight[str, int]()
    video_id = uuid4()

    async def fail() -> int:
        await asyncio.sleep(0)
        raise VersionNotReachedError(video_id, version=1, min_version=2)

    errors = await asyncio.gather(*callers(flights, fail, 3), return_exceptions=True)
    assert len({id(error) for error in errors}) == 3
    for error in errors:
        assert isinstance(error, VersionNotReachedError)
        assert (error.video_id, str(error)) == (video_id, str(errors[0]))
    load = Loads()
    load.gate.set()
    assert await flights.run("key", load) == 1


async def test_load_that_cancels_itself_raises_unavailable() -> None:
    flights = SingleFlight[str, int]()

    async def cancelled() -> int:
        raise asyncio.CancelledError

    with pytest.raises(BackendUnavailableError):
        await flights.run("key", cancelled)


async def test_forgotten_load_serves_only_its_callers() -> None:  # R4
    flights, load = SingleFlight[str, int](), Loads()
    before = callers(flights, load, 2)
    await eventually(lambda: load.begun == 1)
    flights.forget("key")
    after = callers(flights, load, 2)
    await eventually(lambda: load.begun == 2)
    load.gate.set()
    assert await asyncio.gather(*before, *after) == [1, 1, 2, 2]


async def test_ended_forgotten_load_keeps_the_newer_one() -> None:  # R20
    flights, old, new = SingleFlight[str, int](), Loads(), Loads()
    before = callers(flights, old, 1)
    await eventually(lambda: old.begun)
    flights.forget("key")
    after = callers(flights, new, 1)
    await eventually(lambda: new.begun)
    old.gate.set()
    await before[0]
    after += callers(flights, new, 1)
    await asyncio.sleep(0)
    new.gate.set()
    assert await asyncio.gather(*after) == [1, 1]
    assert new.begun == 1


async def test_callers_of_an_outdated_load_share_the_next() -> None:
    flights, load = SingleFlight[str, int](), Loads()
    early = callers(flights, load, 1)
    await eventually(lambda: load.begun == 1)
    late = [
        asyncio.create_task(flights.run_since(flights.mark, "key", load, lambda it: it > 1)) for _ in range(3)
    ]
    content = asyncio.create_task(flights.run_since(flights.mark, "key", load, lambda it: it > 0))
    await asyncio.sleep(0)
    assert load.begun == 1, "loads of one key do not overlap"
    load.gate.set()
    assert await asyncio.gather(*early, *late, content) == [1, 2, 2, 2, 1]


async def test_value_of_a_later_load_is_final() -> None:
    flights, load = SingleFlight[str, int](), Loads()
    load.gate.set()
    assert await flights.run_since(flights.mark, "key", load, lambda _: False) == 1
    assert load.begun == 1


async def test_old_load_is_not_joined() -> None:
    now = 0.0
    flights, load = SingleFlight[str, int](max_age=3.0, clock=lambda: now), Loads()
    early = callers(flights, load, 1)
    await eventually(lambda: load.begun == 1)
    now = 3.0
    early += callers(flights, load, 1)
    await asyncio.sleep(0)
    now = 3.1
    late = callers(flights, load, 2)
    await eventually(lambda: load.begun == 2)
    load.gate.set()
    assert await asyncio.gather(*early, *late) == [1, 1, 2, 2]


async def test_failure_without_callers_is_not_logged() -> None:
    flights = SingleFlight[str, int]()

    async def fail_on_the_way_out() -> int:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError

    task = asyncio.create_task(flights.run("key", fail_on_the_way_out))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    assert not flights._flights
