"""Worker processes, and a client that submits videos to them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

import asyncpg
import psutil

from gostream_conformance.check import check
from gostream_conformance.tree.sources import DirectorySource
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.jobs import TranscodeJob
from gostream_shared.domain.object_keys import hls_prefix, source_key
from gostream_shared.domain.repositories import NewVideo
from gostream_shared.domain.video import Video
from gostream_shared.storage.s3 import S3ObjectStore
from tests.support.pace import slowness

#: Leases that a healthy worker renews in time on this machine.
LEASE = f"{3 * slowness():.1f}s"
Start = Callable[..., "WorkerProcess"]
_RECORD = """
CREATE TABLE seen (id uuid, status text);
CREATE FUNCTION note_status() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO seen VALUES (NEW.id, NEW.status); RETURN NULL; END $$;
CREATE TRIGGER note_status AFTER UPDATE ON videos
  FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION note_status();
"""
# Deletes and inserts: an INSERT notifies idle workers, while they find an UPDATE only after half a lease.
_REMOVE_NOW = """
WITH waiting AS (
    DELETE FROM pgqueuer WHERE entrypoint = 'remove' AND status = 'queued' AND execute_after > now()
    RETURNING priority, entrypoint, payload, status
)
INSERT INTO pgqueuer (priority, entrypoint, payload, status, execute_after)
SELECT priority, entrypoint, payload, status, now() FROM waiting
"""


class WorkerProcess:
    """One worker process, started as in production."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gostream_worker.app"],
                env={"PATH": os.defpath} | environment,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    @property
    def name(self) -> str:
        """Suffix of the worker's name in the database."""
        return f":{self.process.pid}"

    def encoders(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    async def wait_for_encoders(self) -> list[psutil.Process]:
        """Waits for encoder processes; a later attempt may not have started them yet."""

        async def has_some() -> bool:
            return self.encoders() != []

        await until(has_some)
        return self.encoders()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class RunningAttempt(NamedTuple):
    """The worker that runs an encode, and the attempt's number.

    The attempt may be the second if a busy machine froze the first one beyond its lease.
    """

    worker: str
    attempt: int


class VideoClient:
    """Submits videos and observes their processing through the database and the store."""

    def __init__(self, database: PostgresDatabase, store: S3ObjectStore) -> None:
        self.database = database
        self.store = store

    async def submit(self, film: Path) -> UUID:
        video_id = uuid4()
        new = NewVideo(id=video_id, user_id="u", title="t", content_type="video/mp4")
        await self.database.videos.create(new)
        await self.store.put(source_key(video_id), film, content_type="video/mp4")
        await self.process(video_id)
        return video_id

    async def process(self, video_id: UUID) -> None:
        async with self.database.transaction() as transaction:
            encode = await transaction.encodes.start_encode(video_id, profile="default")
            assert encode is not None
            await transaction.jobs.enqueue(TranscodeJob(video_id=video_id, number=encode.number))

    async def wait_until_encoding(self, video_id: UUID, *, percent: float = 15) -> RunningAttempt:
        """Waits until the encode reaches `percent`. Returns the attempt that runs it."""
        row: asyncpg.Record | None = None

        async def under_way() -> bool:
            nonlocal row
            row = await self.database.pool.fetchrow(
                """SELECT worker, attempt FROM encodes JOIN videos ON id = video_id
                WHERE video_id = $1 AND percent >= $2""",
                video_id,
                percent,
            )
            return row is not None

        await until(under_way)
        assert row is not None
        return RunningAttempt(row["worker"], row["attempt"])

    async def finished(self, video_id: UUID) -> Video:
        async def over() -> bool:
            return (await self.database.videos.get(video_id)).status.is_terminal

        await until(over)
        return await self.database.videos.get(video_id)

    async def record(self) -> None:
        """Records every status change from now on, for `times_ready`."""
        await self.database.pool.execute(_RECORD)

    async def times_ready(self, video_id: UUID) -> int:
        """How often the video became READY."""
        sql = "SELECT count(*) FROM seen WHERE id = $1 AND status = 'READY'"
        return int(await self.database.pool.fetchval(sql, video_id))

    async def download(self, video_id: UUID, to: Path) -> Path:
        prefix = hls_prefix(video_id)
        async for found in self.store.list(prefix):
            path = to / found.key.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(await self.store.get(found.key))
        return to


async def until(condition: Callable[[], Awaitable[bool]], *, within: float = 100) -> None:
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.05)


async def run_removals(video_client: VideoClient) -> None:
    """Runs now the removals that are delayed for viewers of old encodes."""

    async def nothing_is_queued() -> bool:
        await video_client.database.pool.execute(_REMOVE_NOW)
        return bool(await video_client.database.pool.fetchval("SELECT count(*) FROM pgqueuer") == 0)

    await until(nothing_is_queued)


async def assert_complete(video_client: VideoClient, video_id: UUID, tmp_path: Path) -> None:
    """Asserts that the published tree passes every conformance rule after all removals."""
    await run_removals(video_client)
    report = await check(DirectorySource(await video_client.download(video_id, tmp_path / "published")))
    assert report.passed, report.document()
