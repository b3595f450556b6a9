"""Workers without a queue manager: each job is taken from the queue and run."""

import asyncio
from functools import partial
from uuid import UUID

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.jobs import TranscodeJob
from gostream_shared.domain.video import Video
from gostream_shared.jobs.pgqueuer import CHUNK, FINISH, TRANSCODE, chunk_job, finish_job, transcode_job
from gostream_worker.chunks.chunk_service import ChunkService
from gostream_worker.chunks.finish_service import FinishService
from gostream_worker.chunks.queue import begin_chunk, begin_finish, plan_anew
from gostream_worker.jobs.attempts import FINISHES, Attempts
from gostream_worker.jobs.settling.chunk_tries import ChunkTries
from gostream_worker.jobs.settling.endings import Endings
from gostream_worker.jobs.verdict import Verdict
from gostream_worker.publish.early_playback import end_lists
from services.worker.tests.conftest import Worker

_TAKE = """DELETE FROM pgqueuer WHERE id = (
  SELECT id FROM pgqueuer WHERE entrypoint = ANY($1) ORDER BY priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING entrypoint, payload, priority"""
_GIVE_BACK = """INSERT INTO pgqueuer (entrypoint, payload, priority, status, execute_after)
VALUES ($1, $2, $3, 'queued', now())"""


class Fleet:
    """Runs the jobs of films. Retries are delivered at once."""

    def __init__(self, worker: Worker, database: PostgresDatabase) -> None:
        self.worker = worker
        self.database = database
        self.ran: list[str] = []

    @property
    def tries(self) -> ChunkTries:
        worker = self.worker
        end_early = partial(end_lists, worker.dependencies.store)
        return ChunkTries(
            self.database.chunks,
            ChunkService(worker.dependencies, worker.encoder, worker.work, worker.settings).run,
            partial(begin_chunk, self.database, worker="test"),
            partial(plan_anew, self.database),
            Endings(self.database, worker.recorder, end_early),
            outage_patience=worker.outage_patience,
        )

    @property
    def finishes(self) -> Attempts:
        worker = self.worker
        return Attempts(
            self.database,
            FinishService(worker.dependencies, worker.encoder, worker.work, worker.settings).run,
            worker.recorder,
            partial(end_lists, worker.dependencies.store),
            worker="test",
            outage_patience=worker.outage_patience,
            begin=partial(begin_finish, self.database),
            kind=FINISHES,
            plan_anew=partial(plan_anew, self.database),
        )

    async def start(self, video_id: UUID) -> None:
        """Starts the encode of an uploaded video."""
        async with self.database.transaction() as transaction:
            encode = await transaction.encodes.start_encode(video_id, profile="default")
            assert encode is not None
            await transaction.jobs.enqueue(TranscodeJob(video_id=video_id, number=encode.number))

    async def step(self, *kinds: str) -> bool:
        """Runs the next job of these kinds, of any kind by default. Returns whether there was one."""
        row = await self.database.pool.fetchrow(_TAKE, list(kinds) or [TRANSCODE, CHUNK, FINISH])
        if row is None:
            return False
        self.ran.append(row["entrypoint"])
        verdict = await self._run(row["entrypoint"], row["payload"])
        if verdict.again_in is not None:
            await self.database.pool.execute(_GIVE_BACK, *row.values())
        return True

    async def _run(self, kind: str, payload: bytes) -> Verdict:
        if kind == TRANSCODE:
            return await self.worker.attempts.transcode(transcode_job(payload))
        if kind == CHUNK:
            return await self.tries.encode(chunk_job(payload))
        return await self.finishes.transcode(finish_job(payload))

    async def work(self, video_id: UUID, *, workers: int = 1) -> Video:
        """Runs jobs until the video's encode is over."""

        async def work() -> None:
            while not (await self.worker.video(video_id)).status.is_terminal:
                if not await self.step():
                    await asyncio.sleep(0.05)

        async with asyncio.timeout(300), asyncio.TaskGroup() as tasks:
            for _ in range(workers):
                tasks.create_task(work())
        return await self.worker.video(video_id)
