"""Shared fixtures: media files, and a worker on a real database and object store."""

import dataclasses
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_devstack.servers.seaweedfs import SeaweedFS
from gostream_shared.config import load
from gostream_shared.db.connecting.address import DatabaseAddress
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.encode import Encode, Progress
from gostream_shared.domain.jobs import TranscodeJob
from gostream_shared.domain.object_keys import hls_prefix, master_key, source_key
from gostream_shared.domain.repositories import NewVideo
from gostream_shared.domain.video import Video
from gostream_shared.domain.videos.loudness import LoudnessTarget
from gostream_shared.domain.videos.options import USUAL, EncodeOptions
from gostream_shared.jobs.pgqueuer import remove_job
from gostream_shared.storage.s3 import S3ObjectStore
from gostream_worker.config import WorkerConfig
from gostream_worker.encode.encoder import Encoder
from gostream_worker.jobs.attempts import Attempts
from gostream_worker.jobs.cleanup import Removal
from gostream_worker.jobs.verdict import Verdict
from gostream_worker.probe.limits import SourceLimits
from gostream_worker.publish.early_playback import end_lists
from gostream_worker.source.work_directory import WorkDirectory
from gostream_worker.transcode_service import Dependencies, Settings, TranscodeService
from tests.support.profiles import QUICK_PROFILES

from .clips import Clips


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Returns the media file of a recipe: `clip(clips.plain)`."""
    return Clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def environment(
    database_settings: Mapping[str, str], object_store_server: SeaweedFS, tmp_path: Path
) -> dict[str, str]:
    """Worker variables for the test servers. Redis is unreachable."""
    return {
        **database_settings,
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": "1",
        "S3_ENDPOINT_URL": object_store_server.endpoint_url,
        "S3_BUCKET": object_store_server.bucket,
        "S3_ACCESS_KEY": object_store_server.access_key,
        "S3_SECRET_KEY": object_store_server.secret_key,
        "WORKER_HOST": "127.0.0.1",
        "WORKER_PORT": "0",
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": "0",
        "WORK_DIR": str(tmp_path / "work"),
    }


@pytest.fixture
def config(environment: dict[str, str]) -> WorkerConfig:
    return load(WorkerConfig, environment)


@pytest.fixture
async def database(config: WorkerConfig) -> AsyncIterator[PostgresDatabase]:
    async with PostgresDatabase.open(DatabaseAddress.of(config)) as database:
        yield database


@pytest.fixture
async def store(config: WorkerConfig) -> AsyncIterator[S3ObjectStore]:
    async with S3ObjectStore.open(config) as store:
        yield store


@dataclass
class Recorder:
    """Replaces Redis and the edge and records every call."""

    announced: list[tuple[UUID, int]] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    refreshed: list[UUID] = field(default_factory=list)

    async def announce(self, video_id: UUID, version: int) -> None:
        self.announced.append((video_id, version))

    async def publish(self, encode: Encode, progress: Progress) -> None:
        self.progress.append(progress)

    async def refresh_master(self, video_id: UUID) -> None:
        self.refreshed.append(video_id)


class Worker:
    """The complete worker without its queue."""

    def __init__(
        self,
        database: PostgresDatabase,
        dependencies: Dependencies,
        recorder: Recorder,
        work: WorkDirectory,
        folder: Path,
    ) -> None:
        self._database = database
        self.dependencies = dependencies
        self.recorder = recorder
        self.folder = folder
        self.work = work
        self.outage_patience = timedelta(minutes=30)
        self.encoder = Encoder(Path(get_ffmpeg_exe()), memory=8 << 30)
        self.settings = Settings(
            profiles=QUICK_PROFILES,
            limits=SourceLimits(max_bytes=100 << 20, max_duration=3600),
            step_patience=0.0,
            max_copied_bytes=200 << 20,
        )

    def limit(self, *, max_bytes: int) -> None:
        """Sets the size limit of sources."""
        limits = dataclasses.replace(self.settings.limits, max_bytes=max_bytes)
        self.settings = dataclasses.replace(self.settings, limits=limits)

    @property
    def service(self) -> TranscodeService:
        return TranscodeService(self.dependencies, self.encoder, self.work, self.settings)

    @property
    def attempts(self) -> Attempts:
        return Attempts(
            self.dependencies.database,
            self.service.run,
            self.recorder,
            partial(end_lists, self.dependencies.store),
            worker="test",
            outage_patience=self.outage_patience,
        )

    async def upload(self, source: Path | bytes) -> UUID:
        """A video in PENDING_UPLOAD with that source."""
        video_id = uuid4()
        new = NewVideo(id=video_id, user_id="u", title="../%d\n'--help", content_type="video/mp4")
        await self.dependencies.database.videos.create(new)
        await self.dependencies.store.put(source_key(video_id), source, content_type="video/mp4")
        return video_id

    async def start(
        self,
        video_id: UUID,
        *,
        profile: str = "default",
        loudness: LoudnessTarget | None = None,
        options: EncodeOptions = USUAL,
    ) -> TranscodeJob:
        encodes = self.dependencies.database.encodes
        encode = await encodes.start_encode(video_id, profile=profile, loudness=loudness, options=options)
        assert encode is not None
        return TranscodeJob(video_id=video_id, number=encode.number)

    async def process(self, source: Path | bytes, *, loudness: LoudnessTarget | None = None) -> Video:
        """Uploads, delivers the job once and returns the video."""
        video_id = await self.upload(source)
        await self.attempts.transcode(await self.start(video_id, loudness=loudness))
        return await self.video(video_id)

    async def run_again(self, video_id: UUID) -> Verdict:
        return await self.attempts.transcode(await self.start(video_id))

    async def video(self, video_id: UUID) -> Video:
        return await self.dependencies.database.videos.get(video_id)

    async def published(self, video_id: UUID) -> dict[str, bytes]:
        """Returns every object below hls/{id}/ by path."""
        prefix = hls_prefix(video_id)
        keys = [found.key async for found in self.dependencies.store.list(prefix)]
        return {key.removeprefix(prefix): await self.dependencies.store.get(key) for key in keys}

    async def master(self, video_id: UUID) -> str:
        return (await self.dependencies.store.get(master_key(video_id))).decode()

    async def save(self, video_id: UUID) -> Path:
        """Saves the publication to disk and returns the path of its master."""
        for name, data in (await self.published(video_id)).items():
            path = self.folder / "published" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return self.folder / "published/master.m3u8"

    async def collect(self) -> None:
        """Runs the queued removals without their delay."""
        rows = await self._database.pool.fetch(
            "DELETE FROM pgqueuer WHERE entrypoint = 'remove' RETURNING payload"
        )
        removal = Removal(self.dependencies.database, self.dependencies.store)
        for row in rows:
            await removal.remove(remove_job(row["payload"]))

    def leftovers(self) -> list[Path]:
        """Files of attempts that are still on disk."""
        return [path for path in (self.folder / "work").rglob("*") if path.name.startswith("attempt-")]


@pytest.fixture
def worker(database: PostgresDatabase, store: S3ObjectStore, tmp_path: Path) -> Iterator[Worker]:
    recorder = Recorder()
    dependencies = Dependencies(
        database=database, store=store, announcer=recorder, publisher=recorder, edge=recorder
    )
    with WorkDirectory.open(tmp_path / "work") as work:
        yield Worker(database, dependencies, recorder, work, tmp_path)
