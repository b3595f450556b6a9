"""Fixtures of the fault tests: service processes, their servers, a film."""

import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_devstack.fixtures import RedisSettings
from gostream_devstack.host.ports import HOST
from gostream_devstack.servers.seaweedfs import SeaweedFS
from gostream_shared.config import Config, load
from gostream_shared.db.connecting.address import DatabaseAddress
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.storage.s3 import S3ObjectStore
from tests.faults.replicas import Fleet
from tests.faults.worker_processes import Start, VideoClient, WorkerProcess


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 s of video that is slow to encode, so that a test can interrupt the encode."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25:duration=24,noise=alls=12:allf=t"]
    sound = ["-f", "lavfi", "-i", "sine=duration=24:sample_rate=48000"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "35", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", *picture, *sound, *coding, str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path


@pytest.fixture
def backends(
    database_settings: Mapping[str, str], redis_settings: RedisSettings, object_store_server: SeaweedFS
) -> dict[str, str]:
    """Environment variables with which a service reaches its servers."""
    return {
        **database_settings,
        "REDIS_HOST": redis_settings.host,
        "REDIS_PORT": str(redis_settings.port),
        "REDIS_PASSWORD": redis_settings.password,
        "S3_ENDPOINT_URL": object_store_server.endpoint_url,
        "S3_BUCKET": object_store_server.bucket,
        "S3_ACCESS_KEY": object_store_server.access_key,
        "S3_SECRET_KEY": object_store_server.secret_key,
        "METRICS_HOST": HOST,
    }


@pytest.fixture
def environment(backends: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """A worker's environment variables."""
    return backends | {
        "WORKER_HOST": HOST,
        "WORKER_PORT": "0",
        "METRICS_PORT": "0",
        "WORK_DIR": str(tmp_path / "work"),
    }


@pytest.fixture
def start_worker(environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Returns a function that starts a worker, such as `start_worker(JOB_LEASE="3s")`."""
    with ExitStack() as workers:

        def start(**settings: str) -> WorkerProcess:
            worker = WorkerProcess(environment | settings, tmp_path / f"worker-{uuid4().hex[:6]}.log")
            workers.callback(worker.end)
            return worker

        yield start


@pytest.fixture
async def video_client(environment: dict[str, str]) -> AsyncIterator[VideoClient]:
    config = load(Config, environment)
    async with (
        PostgresDatabase.open(DatabaseAddress.of(config)) as database,
        S3ObjectStore.open(config) as store,
    ):
        video_client = VideoClient(database, store)
        await video_client.record()
        yield video_client


@pytest.fixture
async def fleet(database_url: str, redis_settings: RedisSettings, tmp_path: Path) -> AsyncIterator[Fleet]:
    """API replicas; `await fleet.start(2)` starts two."""
    async with Fleet.open(database_url, redis_settings, tmp_path) as opened:
        yield opened
