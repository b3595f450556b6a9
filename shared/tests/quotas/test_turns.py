"""The order in which the encodes of several owners run, on a real queue."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter
from pgqueuer.queries import Queries

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.jobs import RemoveJob, TranscodeJob
from gostream_shared.jobs.pgqueuer import TRANSCODE, transcode_job

pytestmark = pytest.mark.stack


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[PostgresDatabase]:
    async with PostgresDatabase.open(database_url) as database:
        yield database


class Line:
    """The queue as a worker sees it. Jobs are named by their owner and a number, such as "a1"."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._queries = Queries(AsyncpgPoolDriver(database.pool))
        self._names: dict[UUID, str] = {}
        self._count: dict[str, int] = {}

    async def enqueue(self, owners: Sequence[str], *, delay: timedelta = timedelta(0)) -> None:
        for owner in owners:
            self._count[owner] = self._count.get(owner, 0) + 1
            job = TranscodeJob(video_id=uuid4(), number=1)
            self._names[job.video_id] = f"{owner}{self._count[owner]}"
            async with self._database.transaction() as transaction:
                turn = await transaction.usages.next_turn(owner)
                await transaction.jobs.enqueue(job, turn=turn, delay=delay)

    async def run(self, count: int) -> list[str]:
        """Claims and completes jobs one after the other. Returns their names."""
        names = []
        for _ in range(count):
            (job,) = await self._queries.dequeue(
                1,
                {QueueEntrypoint(TRANSCODE): EntrypointExecutionParameter(0)},
                QueueManagerId(uuid4()),
                None,
                timedelta(hours=1),
            )
            names.append(self._names[transcode_job(job.payload or b"").video_id])
            await self._queries.log_jobs([(job, "successful", None)])
        return names


@pytest.fixture
def line(database: PostgresDatabase) -> Line:
    return Line(database)


async def test_owners_take_turns(line: Line) -> None:
    await line.enqueue("aaaaa")
    assert await line.run(1) == ["a1"]

    await line.enqueue("bbc")

    assert await line.run(7) == ["a2", "b1", "c1", "a3", "b2", "a4", "a5"]


async def test_one_owner_waits_in_line(line: Line) -> None:
    await line.enqueue("aaa")
    assert await line.run(2) == ["a1", "a2"]
    await line.enqueue("aa")

    assert await line.run(3) == ["a3", "a4", "a5"]


async def test_many_owners_delay_none_for_ever(line: Line) -> None:
    """Owners that enqueue again as soon as their encode ends do not keep another one waiting."""
    await line.enqueue("aaa")
    await line.enqueue("bc")
    order = []
    for _ in range(9):
        (name,) = await line.run(1)
        order.append(name)
        if name[0] != "a":
            await line.enqueue(name[0])

    assert [name for name in order if name[0] == "a"] == ["a1", "a2", "a3"]


async def test_newcomer_has_no_credit_for_its_absence(line: Line) -> None:
    await line.enqueue("a" * 6)
    await line.run(6)
    await line.enqueue("bbb")
    await line.enqueue("aaa")

    assert await line.run(6) == ["b1", "b2", "a7", "b3", "a8", "a9"]


async def test_returning_owner_begins_at_the_present_turn(line: Line) -> None:
    await line.enqueue("b")
    await line.enqueue("a" * 6)
    await line.run(5)

    await line.enqueue("bbb")

    assert await line.run(5) == ["a5", "b2", "a6", "b3", "b4"]


async def test_job_of_a_later_retry_keeps_no_turn(line: Line) -> None:
    await line.enqueue("a", delay=timedelta(hours=1))
    await line.enqueue("a" * 5)
    await line.enqueue("bb")

    assert (await line.run(4))[:3] == ["a2", "b1", "a3"]


async def test_removals_do_not_change_turns(database: PostgresDatabase, line: Line) -> None:
    async with database.transaction() as transaction:
        await transaction.jobs.enqueue(RemoveJob(video_id=uuid4()))
    await line.enqueue("aaa")
    await line.run(2)

    await line.enqueue("b")

    assert await line.run(2) == ["a3", "b1"]


async def test_concurrent_encodes_of_an_owner_get_different_turns(database: PostgresDatabase) -> None:
    async def turn() -> int:
        async with database.transaction() as transaction:
            return await transaction.usages.next_turn("a")

    turns = await asyncio.gather(*(turn() for _ in range(8)))

    assert sorted(turns) == list(range(8))
