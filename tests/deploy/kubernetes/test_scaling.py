"""The query by which KEDA scales the worker, on the migrated schema."""

from datetime import timedelta
from uuid import uuid4

import pytest
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter
from pgqueuer.queries import Queries

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.companions.chunks import NewChunk
from gostream_shared.domain.jobs import ChunkJob, FetchJob, FinishJob, Job, RemoveJob, TranscodeJob
from gostream_shared.domain.repositories import NewVideo
from gostream_shared.jobs.pgqueuer import TRANSCODE
from tests.deploy.kubernetes.pods import of_kind
from tests.deploy.kubernetes.rendering import FOLDER, configuration, render

OBJECTS = render(FOLDER / "overlays/prod")
((_, SCALED),) = of_kind(OBJECTS, "ScaledObject")
TRIGGER = SCALED["triggers"][0]["metadata"]


@pytest.mark.stack
async def test_query_counts_queued_and_running_encodes(database_url: str) -> None:
    async with PostgresDatabase.open(database_url) as database:

        async def enqueue(job: Job, delay: timedelta = timedelta(0)) -> None:
            async with database.transaction() as transaction:
                await transaction.jobs.enqueue(job, delay=delay)

        async def count() -> int:
            return int(await database.pool.fetchval(TRIGGER["query"]))

        assert await count() == 0
        for _ in range(3):
            await enqueue(TranscodeJob(video_id=uuid4(), number=1))
        # Another service runs it; waits for a retry; is no encode.
        await enqueue(FetchJob(video_id=uuid4(), number=1))
        await enqueue(TranscodeJob(video_id=uuid4(), number=1), timedelta(hours=1))
        await enqueue(RemoveJob(video_id=uuid4()), timedelta(hours=24))
        assert await count() == 3
        queries = Queries(AsyncpgPoolDriver(database.pool))
        (job,) = await queries.dequeue(
            1,
            {QueueEntrypoint(TRANSCODE): EntrypointExecutionParameter(0)},
            QueueManagerId(uuid4()),
            None,
            timedelta(hours=1),
        )
        assert await count() == 3
        await queries.log_jobs([(job, "successful", None)])
        assert await count() == 2


@pytest.mark.stack
async def test_query_counts_chunks_without_a_job(database_url: str) -> None:
    async with PostgresDatabase.open(database_url) as database:
        new = NewVideo(id=uuid4(), user_id="u", title="t", content_type="video/mp4")
        await database.videos.create(new)
        await database.encodes.start_encode(new.id, profile="default")
        encode = await database.encodes.begin_attempt(new.id, 1, worker="w")
        chunks = [NewChunk(chunk=k, kind="picture", seconds=10) for k in range(10)]
        async with database.transaction() as transaction:
            await transaction.chunks.add(encode, "{}", chunks)
            for chunk in await transaction.chunks.release(new.id, 1, at_most=3):
                await transaction.jobs.enqueue(ChunkJob(video_id=new.id, number=1, chunk=chunk))
            await transaction.jobs.enqueue(FinishJob(video_id=uuid4(), number=1))

        assert await database.pool.fetchval(TRIGGER["query"]) == 10 + 1
        await database.encodes.cancel(new.id)
        assert await database.pool.fetchval(TRIGGER["query"]) == 3 + 1, "jobs without a chunk end at once"


def test_each_replica_has_the_target_of_slots() -> None:
    assert TRIGGER["targetQueryValue"] == configuration(OBJECTS, "worker")["WORKER_SLOTS"]
    assert SCALED["minReplicaCount"] >= 1
