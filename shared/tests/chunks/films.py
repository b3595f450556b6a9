"""Films in chunks in a real database."""

from typing import Any
from uuid import UUID, uuid4

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.companions.chunks import ChunkResult, ChunkTry, NewChunk
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.jobs import ChunkJob, FinishJob
from gostream_shared.domain.repositories import NewVideo

RESULT = ChunkResult(segments="[]", listed="{}")
SOUND = NewChunk(chunk=0, kind="sound")


def pictures(count: int) -> list[NewChunk]:
    """A sound, then chunks of 10 s of the picture."""
    later = [
        NewChunk(chunk=k, kind="picture", start_frame=250 * (k - 1), frames=250, seconds=10.0)
        for k in range(1, count + 1)
    ]
    return [SOUND, *later]


class Films:
    """Plans films and runs their chunks as workers do, without encoding."""

    def __init__(self, database: PostgresDatabase) -> None:
        self.database = database

    async def planned(
        self, chunks: list[NewChunk], *, owner: str = "u", plan: str = '{"a": 1}', **wishes: Any
    ) -> Encode:
        """A film with these chunks, all without a job."""
        new = NewVideo(id=uuid4(), user_id=owner, title="t", content_type="video/mp4")
        await self.database.videos.create(new)
        await self.database.encodes.start_encode(new.id, profile="default", **wishes)
        encode = await self.database.encodes.begin_attempt(new.id, 1, worker="planner")
        async with self.database.transaction() as transaction:
            await transaction.encodes.lock_for_publish(encode)
            await transaction.chunks.add(encode, plan, chunks)
        return encode

    async def begin(self, encode: Encode, chunk: int, *, worker: str = "w") -> ChunkTry:
        return await self.database.chunks.begin(encode.video_id, encode.number, chunk, worker=worker)

    async def end(self, running: ChunkTry, result: ChunkResult = RESULT) -> int:
        """Ends the try, and enqueues the last step after the last chunk."""
        async with self.database.transaction() as transaction:
            left = await transaction.chunks.end(running, result)
            if left == 0:
                encode = running.encode
                await transaction.jobs.enqueue(FinishJob(video_id=encode.video_id, number=encode.number))
        return left

    async def release(self, encode: Encode, at_most: int, *, owner: str = "u") -> list[int]:
        """Releases chunks, each with the owner's next turn."""
        async with self.database.transaction() as transaction:
            chunks = await transaction.chunks.release(encode.video_id, encode.number, at_most=at_most)
            for chunk in chunks:
                job = ChunkJob(video_id=encode.video_id, number=encode.number, chunk=chunk)
                await transaction.jobs.enqueue(job, turn=await transaction.usages.next_turn(owner))
        return chunks

    async def queued(self, entrypoint: str) -> int:
        sql = "SELECT count(*) FROM pgqueuer WHERE entrypoint = $1"
        return int(await self.database.pool.fetchval(sql, entrypoint))

    async def rows(self, video_id: UUID) -> int:
        sql = "SELECT count(*) FROM encode_chunks WHERE video_id = $1"
        return int(await self.database.pool.fetchval(sql, video_id))
