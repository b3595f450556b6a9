"""A worker claims no jobs before the schema is migrated and its disk has room."""

import asyncio
import re
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_devstack.host.ports import HOST, Ports
from gostream_shared.db.migrate import migrations
from gostream_shared.domain.video import VideoStatus
from tests.faults.worker_processes import Start, VideoClient, until

pytestmark = [pytest.mark.stack, pytest.mark.faults]
ROOM = "gostream.worker.Room"


@pytest.fixture
def short_film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25:duration=1", "-pix_fmt", "yuv420p"]
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", *picture, "-c:v", "libx264", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path


async def is_serving(port: int, service: str = "") -> bool:
    async with aio.insecure_channel(f"{HOST}:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        try:
            reply = await health.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        except aio.AioRpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


async def test_worker_without_room_leaves_the_job(
    video_client: VideoClient, start_worker: Start, short_film: Path
) -> None:
    port = Ports({}).pick("worker")
    video_id = await video_client.submit(short_film)
    full = start_worker(WORK_DIR_RESERVE=str(1 << 44), WORKER_PORT=str(port))

    await until(lambda: is_serving(port))
    assert not await is_serving(port, ROOM)
    assert "WORK_DIR_RESERVE requires" in full.log.read_text()
    start_worker()
    video = await video_client.finished(video_id)

    assert video.status is VideoStatus.READY
    assert video.attempt == 1


async def test_worker_waits_for_the_migration(environment: dict[str, str], start_worker: Start) -> None:
    port = Ports({}).pick("worker")
    last = max(migrations())
    connection = await asyncpg.connect(environment["DATABASE_URL"], timeout=60)
    await connection.execute("DELETE FROM gostream_migrations WHERE name = $1", last)
    worker = start_worker(WORKER_PORT=str(port))

    await until(lambda: asyncio.to_thread(lambda: f"not migrated: {last} missing" in worker.log.read_text()))
    assert not await is_serving(port)
    await connection.execute("INSERT INTO gostream_migrations (name) VALUES ($1)", last)
    await connection.close()

    await until(lambda: is_serving(port))


def test_refused_password_ends_the_worker_with_2(environment: dict[str, str], start_worker: Start) -> None:
    worker = start_worker(DATABASE_URL=re.sub(r":[^:@]+@", ":wrong@", environment["DATABASE_URL"]))

    assert worker.process.wait(60) == 2
    assert "gostream-worker: the database refuses this service" in worker.log.read_text()
