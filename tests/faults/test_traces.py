"""One trace of a film in chunks: from the call that starts it to the first read of the published video."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web
from grpc import aio
from imageio_ffmpeg import get_ffmpeg_exe

from gostream.v1.video_service_pb2 import (
    CancelProcessRequest,
    CreateVideoRequest,
    GetVideoRequest,
    TriggerProcessRequest,
)
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_api.app import open_server
from gostream_api.config import ApiConfig
from gostream_shared.config import load
from gostream_shared.observability.tracing.start import open_tracing
from tests.faults.worker_processes import LEASE, Start, VideoClient, WorkerProcess, until
from tests.support.servers.otlp import Collector, Seen, collecting

pytestmark = [pytest.mark.stack, pytest.mark.faults]
SERVICE = "gostream.v1.VideoService"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = (("traceparent", f"00-{TRACE}-{CALLER}-01"),)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 s of a small picture with sound: some chunks of picture, and the sound."""
    path = tmp_path_factory.mktemp("film") / "small.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=40"]
    sound = ["-f", "lavfi", "-i", "sine=duration=40:sample_rate=48000"]
    coding = ["-c:v", "mpeg4", "-q:v", "31", "-g", "25", "-c:a", "aac"]
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", *picture, *sound, *coding, str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
async def edge() -> AsyncIterator[tuple[str, list[str]]]:
    """An edge that accepts refreshes, and the `traceparent` of each."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("traceparent", ""))
        return web.Response(text="#EXTM3U\n")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}", seen
    await runner.cleanup()


class Traced(NamedTuple):
    """An API and workers whose spans go to `collector`."""

    stub: Any
    start_worker: Callable[[], WorkerProcess]
    collector: Collector
    client: VideoClient
    refreshes: list[str]

    async def started(self, film: Path) -> UUID:
        """Uploads and starts a video, both within the caller's trace."""
        content = await asyncio.to_thread(film.read_bytes)
        created = await self.stub.CreateVideo(
            CreateVideoRequest(title="private title", size_bytes=len(content)), metadata=SAMPLED
        )
        upload = created.upload
        async with (
            aiohttp.ClientSession() as session,
            session.put(upload.url, headers=dict(upload.headers), data=BytesIO(content)) as answer,
        ):
            assert answer.status == 200
        await self.stub.TriggerProcess(TriggerProcessRequest(id=created.video.id), metadata=SAMPLED)
        return UUID(created.video.id)

    async def chunk_begins(self, video_id: UUID) -> None:
        async def begun() -> bool:
            sql = "SELECT count(*) FROM encode_chunks WHERE video_id = $1 AND tries > 0"
            planned = self.collector.named("process transcode", gostream__video__id=str(video_id))
            return bool(planned) and await self.client.database.pool.fetchval(sql, video_id) > 0

        await until(begun)

    async def have_arrived(self, name: str, video_id: UUID, **attributes: Any) -> list[Seen]:
        async def are_there() -> bool:
            return bool(self.collector.named(name, gostream__video__id=str(video_id), **attributes))

        await until(are_there)
        return self.collector.named(name, gostream__video__id=str(video_id), **attributes)


@pytest.fixture
async def traced(
    environment: dict[str, str],
    start_worker: Start,
    video_client: VideoClient,
    collector: Collector,
    edge: tuple[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Traced]:
    refresh_url, refreshes = edge
    exporting = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")

    def start() -> WorkerProcess:
        return start_worker(**exporting, JOB_LEASE=LEASE, WORKER_SLOTS="1", CDN_REFRESH_URL=refresh_url)

    config = load(ApiConfig, environment | exporting)
    async with open_tracing(config, "gostream-api"), open_server(config) as server:
        port = await server.start("127.0.0.1", 0)
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Traced(VideoServiceStub(channel), start, collector, video_client, refreshes)
        await server.stop(delay=config.shutdown_delay, grace=config.shutdown_grace)


async def test_one_trace_survives_a_killed_worker(traced: Traced, film: Path) -> None:
    first = traced.start_worker()
    video_id = await traced.started(film)
    await traced.chunk_begins(video_id)
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    second = traced.start_worker()

    await traced.client.finished(video_id)
    await traced.have_arrived("process finish", video_id)
    await traced.stub.GetVideo(GetVideoRequest(id=str(video_id)), metadata=())
    second.end()
    await until_seen(traced.collector, f"{SERVICE}/GetVideo")

    seen = [each for each in traced.collector.seen if each.trace == TRACE]
    by_id = {each.span: each for each in seen}
    names = {each.name for each in seen}
    assert names >= {
        f"{SERVICE}/CreateVideo",
        f"{SERVICE}/TriggerProcess",
        "send transcode",
        "process transcode",
        "send chunk",
        "process chunk",
        "send finish",
        "process finish",
        "ffmpeg",
        "S3/PutObject",
        "publish",
        "edge refresh",
        "announce",
        "redis invalidate",
    }
    assert {each.service for each in seen} == {"gostream-api", "gostream-worker"}
    assert_jobs_follow_their_senders(seen, by_id)
    chunks = traced.collector.named("process chunk", gostream__job__outcome="done")
    assert len({each.attributes["gostream.chunk"] for each in chunks}) == len(chunks) > 1
    assert max(each.attributes["gostream.tries"] for each in chunks) == 2, "the killed try is counted"
    assert all(TRACE in each for each in traced.refreshes)
    read = traced.collector.named(f"{SERVICE}/GetVideo")[-1]
    assert read.trace != TRACE
    assert {trace for trace, _ in read.links} == {TRACE}
    assert "private" not in str(traced.collector.seen)
    assert "X-Amz" not in str(traced.collector.seen)


async def test_cancelled_film_ends_its_chunk(traced: Traced, film: Path) -> None:
    traced.start_worker()
    video_id = await traced.started(film)
    await traced.chunk_begins(video_id)
    await traced.stub.CancelProcess(CancelProcessRequest(id=str(video_id)), metadata=SAMPLED)

    (chunk,) = await traced.have_arrived("process chunk", video_id, gostream__job__outcome="fence lost")

    assert chunk.trace == TRACE
    assert not chunk.failed  # as its owner wanted
    (ffmpeg,) = [each for each in traced.collector.named("ffmpeg") if each.parent == chunk.span]
    assert (ffmpeg.failed, ffmpeg.attributes["error.type"]) == (True, "CancelledError")


def assert_jobs_follow_their_senders(seen: list[Seen], by_id: dict[str, Seen]) -> None:
    for each in seen:
        if each.name.startswith("process "):
            sender = by_id[each.parent]
            assert sender.name == each.name.replace("process", "send")
            assert sender.began <= each.began


async def until_seen(collector: Collector, name: str) -> None:
    async with asyncio.timeout(60):
        while not collector.named(name):
            await asyncio.sleep(0.05)
