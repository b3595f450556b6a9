"""Fetches of sources over a real database and a real object store, from servers on loopback."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.companions.remote_sources import RemoteSource
from gostream_shared.domain.jobs import FetchJob
from gostream_shared.domain.object_keys import source_key
from gostream_shared.domain.repositories import NewVideo
from gostream_shared.domain.video import Failure, Video
from gostream_shared.egress.guard import EgressGuard
from gostream_shared.storage.port import ObjectNotFoundError
from gostream_shared.storage.s3 import S3ObjectStore
from gostream_worker.ingest import transfer
from gostream_worker.ingest.fetch_service import FetchService, FetchSettings
from gostream_worker.jobs.attempts import FETCHES, Attempts
from gostream_worker.jobs.verdict import Verdict
from services.worker.tests.conftest import Recorder
from services.worker.tests.ingest.source_server import SourceServer, serving

MAX_BYTES = 40 << 20


class Fetcher:
    """The worker's part that fetches, without its queue."""

    def __init__(self, database: PostgresDatabase, store: S3ObjectStore) -> None:
        self.database = database
        self.store = store
        self.recorder = Recorder()
        self.guard = EgressGuard.of("127.0.0.1/32", allows_http=True)
        self.timeout = timedelta(minutes=10)

    @property
    def service(self) -> FetchService:
        settings = FetchSettings(max_bytes=MAX_BYTES, timeout=self.timeout, step_patience=0.0)
        return FetchService(self.database, self.store, self.recorder, self.guard, settings)

    @property
    def attempts(self) -> Attempts:
        service = self.service
        return Attempts(
            self.database,
            service.run,
            self.recorder,
            self._end_early,
            worker="test",
            outage_patience=timedelta(minutes=30),
            begin=service.begin,
            kind=FETCHES,
        )

    async def _end_early(self, video_id: UUID, number: int) -> None: ...

    async def job(self, url: str) -> FetchJob:
        """A new video with that URL, whose processing has started."""
        new = NewVideo(id=uuid4(), user_id="u", title="t", content_type="video/mp4")
        async with self.database.transaction() as transaction:
            video = await transaction.videos.create(new)
            await transaction.remote_sources.add(video.id, RemoteSource(url=url))
            encode = await transaction.encodes.start_encode(video.id, profile="default")
        assert encode is not None
        return FetchJob(video_id=video.id, number=encode.number)

    async def deliver(self, job: FetchJob) -> Verdict:
        return await self.attempts.transcode(job)

    async def fetch(self, url: str) -> Video:
        """Delivers a new job once."""
        job = await self.job(url)
        await self.deliver(job)
        return await self.video(job)

    async def failure(self, url: str) -> Failure:
        failure = (await self.fetch(url)).failure
        assert failure is not None
        return failure

    async def video(self, job: FetchJob) -> Video:
        return await self.database.videos.get(job.video_id)

    async def stored(self, video_id: UUID) -> bytes | None:
        """Returns the source in the store."""
        try:
            return await self.store.get(source_key(video_id))
        except ObjectNotFoundError:
            return None

    async def parts(self, video_id: UUID) -> list[str]:
        """The ids of unfinished multipart uploads of the video."""
        return [each.upload_id async for each in self.store.list_multiparts(source_key(video_id))]

    async def row(self, video_id: UUID) -> asyncpg.Record:
        row = await self.database.pool.fetchrow("SELECT * FROM remote_sources WHERE video_id = $1", video_id)
        assert row is not None
        return row

    async def queued(self) -> list[tuple[str, bytes]]:
        rows = await self.database.pool.fetch("SELECT entrypoint, payload FROM pgqueuer ORDER BY id")
        return [(row["entrypoint"], row["payload"]) for row in rows]


@pytest.fixture
def fetcher(database: PostgresDatabase, store: S3ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Fetcher:
    monkeypatch.setattr(transfer, "_FIRST_PAUSE", 0.01)
    return Fetcher(database, store)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[SourceServer]]]:
    """A function that starts a server of a body; keywords are its faults."""
    async with AsyncExitStack() as stack:

        async def start(body: bytes, **faults: Any) -> SourceServer:
            return await stack.enter_async_context(serving(SourceServer(body, **faults)))

        yield start
