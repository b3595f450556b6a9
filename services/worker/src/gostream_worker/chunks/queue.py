"""The jobs of a film in chunks: a few of each film wait at once, so that films and owners take turns."""

from uuid import UUID

from gostream_shared.domain.companions.chunks import ChunkTry, NewChunk
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.jobs import ChunkJob, TranscodeJob
from gostream_shared.domain.repositories import Database, Transaction
from gostream_worker.chunks.stored import Planned, planned_json
from gostream_worker.encode.run_plan import seconds_of
from gostream_worker.plan.chunks import Chunk
from gostream_worker.plan.plan import Plan


async def fan_out(database: Database, encode: Encode, planned: Planned, *, window: int) -> None:
    """Stores the plan and its chunks, and enqueues the first ones. All of it commits together.

    Raises FenceLostError and BackendUnavailableError.
    """
    chunks = [_new(planned.plan, chunk) for chunk in planned.plan.chunks]
    beside = sum(not chunk.has_picture for chunk in planned.plan.chunks)
    async with database.transaction() as transaction:
        await transaction.encodes.lock_for_publish(encode)
        await transaction.chunks.add(encode, planned_json(planned), chunks)
        await _release(transaction, encode, at_most=window + beside)


async def begin_chunk(database: Database, job: ChunkJob, *, worker: str) -> ChunkTry:
    """Begins a try of a chunk. The first try of a chunk lets the next chunk of the film wait.

    So a film waits with as many chunks as before, whatever the number of workers. Raises FenceLostError and
    BackendUnavailableError.
    """
    async with database.transaction() as transaction:
        running = await transaction.chunks.begin(job.video_id, job.number, job.chunk, worker=worker)
        if running.tries == 1:
            await _release(transaction, running.encode, at_most=1)
    return running


async def begin_finish(database: Database, video_id: UUID, number: int, *, worker: str) -> Encode:
    """Begins to publish a film whose chunks are done. Raises FenceLostError and BackendUnavailableError."""
    async with database.transaction() as transaction:
        return await transaction.chunks.begin_finish(video_id, number, worker=worker)


async def plan_anew(database: Database, encode: Encode) -> None:
    """Ends the chunks of an encode whose plan has failed, and enqueues its next attempt.

    Raises FenceLostError and BackendUnavailableError.
    """
    async with database.transaction() as transaction:
        await transaction.chunks.plan_anew(encode)
        owner = (await transaction.videos.get(encode.video_id)).user_id
        # The first job of this encode may still be in the queue.
        job = TranscodeJob(video_id=encode.video_id, number=encode.number, attempt=encode.attempt)
        await transaction.jobs.enqueue(job, turn=await transaction.usages.next_turn(owner))


def _new(plan: Plan, chunk: Chunk) -> NewChunk:
    return NewChunk(
        chunk=chunk.number,
        kind=chunk.kind,
        start_frame=chunk.start_frame,
        frames=chunk.frames,
        seconds=seconds_of(plan, chunk) if chunk.has_picture else 0.0,
    )


async def _release(transaction: Transaction, encode: Encode, *, at_most: int) -> None:
    """Enqueues the next chunks, each with the next turn of the owner."""
    chunks = await transaction.chunks.release(encode.video_id, encode.number, at_most=at_most)
    if not chunks:
        return
    owner = (await transaction.videos.get(encode.video_id)).user_id
    for chunk in chunks:
        job = ChunkJob(video_id=encode.video_id, number=encode.number, chunk=chunk)
        await transaction.jobs.enqueue(job, turn=await transaction.usages.next_turn(owner))
