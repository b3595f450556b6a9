"""`gostream doctor ID` on the real stack: a good video, and faults that are planted in others."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import pytest

from gostream.v1.video_pb2 import Video
from gostream_api.app import open_server
from gostream_api.config import ApiConfig
from gostream_client import AsyncClient
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.instance.stack import Stack
from gostream_devstack.servers.nginx import Nginx, Origin
from gostream_shared.config import Config, load
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.object_keys import gate_key, master_key
from gostream_shared.storage.s3 import S3ObjectStore
from tests.doctor.conftest import Doctor
from tests.doctor.test_deployments import closed_port

pytestmark = pytest.mark.stack
Upload = Callable[[Path], Awaitable[Video]]


@pytest.fixture
async def store(stack: Stack) -> AsyncIterator[S3ObjectStore]:
    settings = {**stack.settings, "DATABASE_URL": stack.env["DATABASE_URL"]}
    names = {name: stack.env[name] for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY")}
    async with S3ObjectStore.open(load(Config, settings | names)) as store:
        yield store


@pytest.fixture
async def another_api(stack: Stack) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """A function that starts an API of the stack with another CDN_BASE_URL. Returns its admin address."""
    async with AsyncExitStack() as opened:

        async def start(cdn_base_url: str) -> str:
            port = closed_port()
            changes = {"CDN_BASE_URL": cdn_base_url, "ADMIN_PORT": str(port), "SHUTDOWN_DELAY": "0s"}
            config = load(ApiConfig, dict(stack.apis[0].settings) | changes)
            server = await opened.enter_async_context(open_server(config))
            await server.start("127.0.0.1", 0)
            opened.push_async_callback(server.stop, delay=config.shutdown_delay, grace=config.shutdown_grace)
            return f"127.0.0.1:{port}"

        yield start


async def test_ready_video_is_good(doctor: Doctor, upload: Upload, small_clip: Path) -> None:
    video = await upload(small_clip)
    report = await doctor(video.id)

    assert (report.code, report.document["cause"]) == (0, "READY"), report
    assert report.document["verdict"] == "is READY and plays"


@pytest.mark.parametrize("fault", ["master", "gate"])
async def test_lost_object_is_the_verdict(
    doctor: Doctor, stack: Stack, upload: Upload, small_clip: Path, store: S3ObjectStore, fault: str
) -> None:
    video = await upload(small_clip)
    video_id = UUID(video.id)
    async with PostgresDatabase.open(stack.env["DATABASE_URL"]) as database:
        pending = "SELECT count(*) FROM gate_changes WHERE video_id = $1 AND due_at <= now()"
        while await database.pool.fetchval(pending, video_id):  # the worker would write it again
            await asyncio.sleep(0.1)
    await store.delete([master_key(video_id) if fault == "master" else gate_key(video_id, "public")])
    report = await doctor(video.id)

    assert (report.code, report.document["cause"]) == (1, f"{fault.upper()}_MISSING")


async def test_unreadable_film_failed_at_probing(doctor: Doctor, upload: Upload, tmp_path: Path) -> None:
    film = tmp_path / "noise.mp4"
    film.write_bytes(b"no film at all" * 100)
    video = await upload(film)
    report = await doctor(video.id)

    assert (report.code, report.document["cause"]) == (1, "FAILED")
    assert report.document["verdict"].startswith("failed at prob")
    assert report.document["advice"]


@pytest.mark.slow
async def test_wrong_cdn_base_url_is_the_verdict(
    doctor: Doctor, upload: Upload, small_clip: Path, another_api: Callable[[str], Awaitable[str]]
) -> None:
    video = await upload(small_clip)
    dead = await doctor(video.id, "--admin", await another_api(f"http://127.0.0.1:{closed_port()}"))

    assert (dead.code, dead.document["cause"]) == (1, "EDGE_UNREACHABLE")
    assert "CDN_BASE_URL" in dead.document["advice"]


@pytest.mark.slow
async def test_wrong_edge_secret_is_the_verdict(
    doctor: Doctor,
    stack: Stack,
    upload: Upload,
    small_clip: Path,
    another_api: Callable[[str], Awaitable[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = Directories.at(tmp_path_factory.mktemp("edge"))
    origin = Origin(stack.settings["S3_ENDPOINT_URL"], stack.settings["S3_BUCKET"], "wrong")
    nginx = Nginx(home, Ports({}).pick("nginx"), origin, "refresh")
    video = await upload(small_clip)
    try:
        await asyncio.to_thread(nginx.start)
        report = await doctor(video.id, "--admin", await another_api(nginx.url))
    finally:
        await asyncio.to_thread(nginx.stop)
        home.remove()

    assert (report.code, report.document["cause"]) == (1, "EDGE_REFUSES"), report
    assert "EDGE_ORIGIN_SECRET" in report.document["advice"]


async def test_admin_address_is_explained(doctor: Doctor, client: AsyncClient) -> None:
    video = await client.create_video(title="x", size_bytes=4)
    report = await doctor(video.video.id, "--admin", f"127.0.0.1:{closed_port()}", "--timeout", "2")

    assert report.code == 4
    assert "GOSTREAM_ADMIN_ADDR" in report.document["error"]["message"]
