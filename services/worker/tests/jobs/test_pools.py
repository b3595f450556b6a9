"""Kinds of jobs that share slots, on a real queue."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.jobs import ChunkJob, TranscodeJob
from gostream_shared.jobs.pgqueuer import CHUNK, TRANSCODE, chunk_job, transcode_job
from gostream_worker.jobs.consumer import Consumer, JobKind, reading
from gostream_worker.jobs.verdict import DONE, Verdict
from services.worker.tests.jobs.test_consumer import LEASE, LONG_LEASE, queued, until

pytestmark = pytest.mark.stack


async def test_kinds_of_a_pool_share_slots_and_turns(database: PostgresDatabase) -> None:
    begun: list[str] = []
    most = at_work = 0

    def work(name: str) -> Callable[[object], Awaitable[Verdict]]:
        async def run(job: object) -> Verdict:
            nonlocal most, at_work
            begun.append(name)
            at_work += 1
            most = max(most, at_work)
            await asyncio.sleep(0.05)
            at_work -= 1
            return DONE

        return run

    async with database.transaction() as transaction:
        for turn in range(6):
            film = uuid4()
            job = (
                ChunkJob(video_id=film, number=1, chunk=0)
                if turn % 2
                else TranscodeJob(video_id=film, number=1)
            )
            await transaction.jobs.enqueue(job, turn=turn)
    kinds = {
        TRANSCODE: JobKind(reading(transcode_job, work("film")), 1, pool="encoding"),
        CHUNK: JobKind(reading(chunk_job, work("chunk")), 1, pool="encoding"),
    }

    async def is_empty() -> bool:
        return await queued(database) == 0

    consumer = Consumer(database.pool, kinds, listener=database.listener(), lease=LEASE)
    running = asyncio.ensure_future(consumer.run())
    await until(is_empty)
    consumer.stop()
    await running
    assert begun == ["film", "chunk"] * 3
    assert most == 1


async def test_freed_slot_takes_the_next_job(database: PostgresDatabase) -> None:
    begun: list[UUID] = []

    async def work(job: TranscodeJob) -> Verdict:
        begun.append(job.video_id)
        return DONE

    films = [uuid4() for _ in range(4)]
    for film in films:
        async with database.transaction() as transaction:
            await transaction.jobs.enqueue(TranscodeJob(video_id=film, number=1))
    kinds = {TRANSCODE: JobKind(reading(transcode_job, work), 1)}
    # Its timer, half a lease, is longer than the test waits.
    consumer = Consumer(database.pool, kinds, listener=database.listener(), lease=LONG_LEASE)
    running = asyncio.ensure_future(consumer.run())

    async def are_done() -> bool:
        return await queued(database) == 0

    await until(are_done)
    consumer.stop()
    await running
    assert begun == films
