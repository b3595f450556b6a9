"""Kinds of jobs that share slots, on a real queue."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.jobs import ChunkJob, TranscodeJob
from gostream_shared.jobs.pgqueuer import CHUNK, TRANSCODE, chunk_job, transcode_job
from gostream_worker.jobs.consumer import Consumer, JobKind, reading
from gostream_worker.jobs.verdict import DONE, Verdict
from services.worker.tests.jobs.test_consumer import LEASE, queued, until

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
