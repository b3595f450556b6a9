"""Single flight: shared loads, and nobody suffers for anybody else."""

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
    """Loads that end when told to, each with a number of its own."""

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


async def test_callers_at_the_same_time_share_one_load() -> None:
    flights, load = SingleFlight[str, int](), Loads()
    tasks = callers(flights, load, 500)
    await eventually(lambda: load.begun)
    load.gate.set()
    assert set(await asyncio.gather(*tasks)) == {1}
    assert await flights.run("key", load) == 2


@pytest.mark.parametrize("leavers", [c for n in range(4) for c in combinations(range(4), n)])
async def test_any_callers_may_leave_without_harm_to_the_others(leavers: tuple[int, ...]) -> None:  # R18
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


async def test_the_last_caller_out_cancels_the_load_and_a_newcomer_begins_another() -> None:
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


async def test_each_caller_gets_an_error_of_its_own_and_errors_are_not_kept() -> None:  # R19
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


async def test_a_load_cancelled_from_within_is_unavailability_not_cancellation() -> None:
    flights = SingleFlight[str, int]()

    async def cancelled() -> int:
        raise asyncio.CancelledError

    with pytest.raises(BackendUnavailableError):
        await flights.run("key", cancelled)


async def test_nobody_joins_a_forgotten_load_but_its_callers_get_its_value() -> None:  # R4
    flights, load = SingleFlight[str, int](), Loads()
    before = callers(flights, load, 2)
    await eventually(lambda: load.begun == 1)
    flights.forget("key")
    after = callers(flights, load, 2)
    await eventually(lambda: load.begun == 2)
    load.gate.set()
    assert await asyncio.gather(*before, *after) == [1, 1, 2, 2]


async def test_the_end_of_a_forgotten_load_leaves_the_newer_one_joinable() -> None:  # R20
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


async def test_who_finds_the_value_of_an_older_load_too_old_shares_the_next_one() -> None:
    flights, load = SingleFlight[str, int](), Loads()
    early = callers(flights, load, 1)
    await eventually(lambda: load.begun == 1)
    late = [
        asyncio.create_task(flights.run_since(flights.mark, "key", load, lambda it: it > 1)) for _ in range(3)
    ]
    content = asyncio.create_task(flights.run_since(flights.mark, "key", load, lambda it: it > 0))
    await asyncio.sleep(0)
    assert load.begun == 1, "loads follow each other"
    load.gate.set()
    assert await asyncio.gather(*early, *late, content) == [1, 2, 2, 2, 1]


async def test_the_value_of_a_load_begun_since_is_final() -> None:
    flights, load = SingleFlight[str, int](), Loads()
    load.gate.set()
    assert await flights.run_since(flights.mark, "key", load, lambda _: False) == 1
    assert load.begun == 1


async def test_nobody_joins_a_load_of_long_ago() -> None:
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


async def test_a_failure_after_everybody_left_is_no_warning() -> None:
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
