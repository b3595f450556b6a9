"""Workers die, stop, and get the same job twice: one stream is published, whole, exactly once."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import psutil
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_devstack.fixtures import RedisSettings
from gostream_devstack.ports import HOST
from gostream_devstack.seaweedfs import SeaweedFS
from gostream_shared.config import Config, load
from gostream_shared.conformance.check import check
from gostream_shared.conformance.sources import DirectorySource
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.jobs import TranscodeJob
from gostream_shared.domain.repository import NewVideo
from gostream_shared.domain.video import Video, VideoStatus, hls_prefix, source_key
from gostream_shared.s3 import S3ObjectStore

pytestmark = [pytest.mark.stack, pytest.mark.faults]
LEASE = "3s"
Start = Callable[..., "WorkerProcess"]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough to be at work on: 24 s of a picture that is hard to encode."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25:duration=24,noise=alls=12:allf=t"]
    sound = ["-f", "lavfi", "-i", "sine=duration=24:sample_rate=48000"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "35", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", *picture, *sound, *coding, str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path


class WorkerProcess:
    """One worker, as it is deployed."""

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
        """The end of what it calls itself in the database."""
        return f":{self.process.pid}"

    def encoders(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@pytest.fixture
def environment(
    database_url: str, redis_settings: RedisSettings, object_store_server: SeaweedFS, tmp_path: Path
) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "REDIS_HOST": redis_settings.host,
        "REDIS_PORT": str(redis_settings.port),
        "REDIS_PASSWORD": redis_settings.password,
        "S3_ENDPOINT_URL": object_store_server.endpoint_url,
        "S3_BUCKET": object_store_server.bucket,
        "S3_ACCESS_KEY": object_store_server.access_key,
        "S3_SECRET_KEY": object_store_server.secret_key,
        "WORKER_HOST": HOST,
        "WORKER_PORT": "0",
        "METRICS_HOST": HOST,
        "METRICS_PORT": "0",
        "WORK_DIR": str(tmp_path / "work"),
    }


@pytest.fixture
def start_worker(environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start a worker: `start_worker(JOB_LEASE="3s")`."""
    with ExitStack() as workers:

        def start(**settings: str) -> WorkerProcess:
            worker = WorkerProcess(environment | settings, tmp_path / f"worker-{uuid4().hex[:6]}.log")
            workers.callback(worker.end)
            return worker

        yield start


class Studio:
    """What clients do and see."""

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
            encode = await transaction.videos.start_encode(video_id, profile="default")
            assert encode is not None
            await transaction.jobs.enqueue(TranscodeJob(video_id=video_id, number=encode.number))

    async def at_work(self, video_id: UUID, *, percent: float = 15) -> str:
        """Wait until the encoder is well under way; who runs it."""
        row: asyncpg.Record | None = None

        async def under_way() -> bool:
            nonlocal row
            row = await self.database.pool.fetchrow(
                "SELECT worker, percent FROM encodes WHERE video_id = $1 AND percent >= $2", video_id, percent
            )
            return row is not None

        await until(under_way)
        assert row is not None
        return str(row["worker"])

    async def finished(self, video_id: UUID) -> Video:
        async def over() -> bool:
            return (await self.database.videos.get(video_id)).status.is_terminal

        await until(over)
        return await self.database.videos.get(video_id)

    async def announcements_of_ready(self, video_id: UUID) -> int:
        """How often the row became READY: each change of it raised the version by one."""
        video = await self.database.videos.get(video_id)
        # 1 created, 2 PROCESSING, one for each attempt, one when it can be played early, one for READY
        return video.version - 2 - video.attempt - (video.playable_number is not None)

    async def download(self, video_id: UUID, to: Path) -> Path:
        prefix = hls_prefix(video_id)
        async for found in self.store.list(prefix):
            path = to / found.key.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(await self.store.get(found.key))
        return to


@pytest.fixture
async def studio(environment: dict[str, str]) -> AsyncIterator[Studio]:
    config = load(Config, environment)
    async with (
        PostgresDatabase.open(config.database_url.get_secret_value()) as database,
        S3ObjectStore.open(config) as store,
    ):
        yield Studio(database, store)


async def until(condition: Callable[[], Awaitable[bool]], *, within: float = 100) -> None:
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.05)


async def assert_whole(studio: Studio, video_id: UUID, tmp_path: Path) -> None:
    """Every rule of the conformance checker: nothing is missing, nothing is left over, nothing is torn."""
    report = await check(DirectorySource(await studio.download(video_id, tmp_path / "published")))
    assert report.passed, report.document()


async def test_a_killed_workers_encode_is_finished_by_another(
    studio: Studio, start_worker: Start, film: Path, tmp_path: Path
) -> None:
    workers = [start_worker(JOB_LEASE=LEASE) for _ in range(2)]
    video_id = await studio.submit(film)
    name = await studio.at_work(video_id)
    [victim] = [worker for worker in workers if name.endswith(worker.name)]
    encoders = victim.encoders()
    assert encoders

    victim.process.kill()

    video = await studio.finished(video_id)
    assert (video.status, video.attempt, video.published_number) == (VideoStatus.READY, 2, 1)
    assert await studio.announcements_of_ready(video_id) == 1
    psutil.wait_procs(encoders, timeout=10)
    assert not any(encoder.is_running() for encoder in encoders), "an encoder outlived its worker"
    await assert_whole(studio, video_id, tmp_path)


async def test_a_stopping_worker_hands_its_encode_over_at_once(
    studio: Studio, start_worker: Start, film: Path, tmp_path: Path
) -> None:
    # With such a lease nobody would take over by himself within this test.
    workers = [start_worker(JOB_LEASE="10m") for _ in range(2)]
    video_id = await studio.submit(film)
    name = await studio.at_work(video_id)
    [leaving] = [worker for worker in workers if name.endswith(worker.name)]

    leaving.process.send_signal(signal.SIGTERM)

    assert await asyncio.to_thread(leaving.process.wait, 30) == 0
    video = await studio.finished(video_id)
    assert (video.status, video.attempt) == (VideoStatus.READY, 2)
    forgiven = await studio.database.pool.fetchval(
        "SELECT forgiven FROM encodes WHERE video_id = $1", video_id
    )
    assert forgiven == 1, "a deploy must not use up a try"
    await assert_whole(studio, video_id, tmp_path)


async def test_the_same_job_delivered_twice_at_once_publishes_once(
    studio: Studio, start_worker: Start, film: Path, tmp_path: Path
) -> None:
    video_id = await studio.submit(film)
    await studio.database.pool.execute(
        """INSERT INTO pgqueuer (priority, entrypoint, payload, status, execute_after)
        SELECT priority, entrypoint, payload, status, execute_after FROM pgqueuer"""
    )
    for _ in range(2):
        start_worker(JOB_LEASE=LEASE)

    video = await studio.finished(video_id)
    assert (video.status, video.published_number) == (VideoStatus.READY, 1)
    assert await studio.announcements_of_ready(video_id) == 1

    async def queue_is_empty() -> bool:
        sql = "SELECT count(*) FROM pgqueuer WHERE entrypoint = 'transcode'"
        return bool(await studio.database.pool.fetchval(sql) == 0)

    await until(queue_is_empty)
    await assert_whole(studio, video_id, tmp_path)


async def test_a_cancelled_encode_stops_at_work_and_publishes_nothing(
    studio: Studio, start_worker: Start, film: Path
) -> None:
    worker = start_worker(JOB_LEASE=LEASE)
    video_id = await studio.submit(film)
    await studio.at_work(video_id)

    await studio.database.videos.cancel(video_id)

    async def encoder_is_gone() -> bool:
        return worker.encoders() == []

    await until(encoder_is_gone, within=20)
    assert (await studio.database.videos.get(video_id)).status is VideoStatus.CANCELLED
    assert not [found async for found in studio.store.list(f"{hls_prefix(video_id)}master")]


async def test_a_worker_frozen_beyond_its_lease_wakes_up_to_nothing(
    studio: Studio, start_worker: Start, film: Path, tmp_path: Path
) -> None:
    workers = [start_worker(JOB_LEASE=LEASE) for _ in range(2)]
    video_id = await studio.submit(film)
    name = await studio.at_work(video_id)
    [frozen] = [worker for worker in workers if name.endswith(worker.name)]
    group = [psutil.Process(frozen.process.pid), *frozen.encoders()]
    for process in group:
        process.suspend()

    video = await studio.finished(video_id)
    for process in group:
        process.resume()

    async def encoder_is_gone() -> bool:
        return frozen.encoders() == []

    await until(encoder_is_gone)
    assert (video.status, video.attempt) == (VideoStatus.READY, 2)
    assert await studio.announcements_of_ready(video_id) == 1
    await assert_whole(studio, video_id, tmp_path)
