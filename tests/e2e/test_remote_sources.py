"""Videos from a URL, through all processes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest
from grpc import aio

from cli.tests.conftest import Gostream
from cli.tests.conftest import gostream as gostream
from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import CreateVideoRequest, WatchVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_devstack.instance.stack import Stack
from gostream_shared.config import Config, load
from gostream_shared.domain.object_keys import source_key
from gostream_shared.storage.s3 import S3ObjectStore
from services.worker.tests.ingest.source_server import SourceServer, serving
from tests.support.waiting import eventually

SETTINGS = {
    "SOURCE_URL_HTTP": "true",
    "SOURCE_URL_ALLOW": "127.0.0.1/32",
    "JOB_LEASE": "3s",
}


@asynccontextmanager
async def stub_of(stack: Stack) -> AsyncIterator[Any]:
    async with aio.insecure_channel(stack.env["GOSTREAM_API_ADDR"].split(",")[0]) as channel:
        yield VideoServiceStub(channel)


async def created(stub: Any, **source: Any) -> str:
    answer = await stub.CreateVideo(CreateVideoRequest(title="Film", **source), timeout=60)
    video_id: str = answer.video.id
    return video_id


async def ended(stub: Any, video_id: str) -> tuple[Video, list[str]]:
    """Returns the video after its processing, and the stages that a watcher has seen."""
    stages: list[str] = []
    async with aclosing(stub.WatchVideo(WatchVideoRequest(id=video_id), timeout=300).__aiter__()) as states:
        async for video in states:
            if video.processing.stage not in stages:
                stages.append(video.processing.stage)
    return video, stages


@pytest.mark.stack
async def test_video_from_a_url_is_published(
    make_stack: Callable[..., Stack], gostream: Gostream, small_clip: Path
) -> None:
    stack = make_stack(settings=SETTINGS)
    film = await asyncio.to_thread(small_clip.read_bytes)
    async with serving(SourceServer(film, cuts=[len(film) // 2])) as server, stub_of(stack) as stub:
        address = stack.env["GOSTREAM_API_ADDR"].split(",")[0]
        options = ("--timeout", "60", "--json", "--external-id", "film-1")
        ran = await gostream("import", server.url, *options, GOSTREAM_API_ADDR=address)
        states = [json.loads(line) for line in ran.stdout.splitlines()]
        video = states[-1]

        assert (ran.code, video["status"]) == (0, "STATUS_READY"), ran
        assert (video["source"]["size_bytes"], video["external_id"]) == (str(len(film)), "film-1")
        assert {"queued", "fetching"} & {state["processing"]["stage"] for state in states[:-1]}
        assert len(server.requests) == 2, "the second one resumes the first"

        with pytest.raises(aio.AioRpcError) as refused:
            await created(stub, source_url="http://127.0.0.2/film.mp4")
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.stack
@pytest.mark.faults
async def test_killed_worker_is_replaced_while_fetching(
    make_stack: Callable[..., Stack], small_clip: Path
) -> None:
    stack = make_stack(workers=2, settings=SETTINGS)
    film = await asyncio.to_thread(small_clip.read_bytes) + bytes(20 << 20)
    server = SourceServer(film, held_at=10 << 20)
    server.go_on.clear()
    connection = await asyncpg.connect(stack.env["DATABASE_URL"])
    async with (
        serving(server),
        S3ObjectStore.open(load(Config, stack.env)) as store,
        stub_of(stack) as stub,
    ):
        video_id = await created(stub, source_url=server.url)
        prefix = source_key(UUID(video_id))

        async def parts() -> list[str]:
            return [each.upload_id async for each in store.list_multiparts(prefix)]

        await eventually(parts)
        worker = await connection.fetchval("SELECT worker FROM encodes")
        pid = int(worker.rpartition(":")[2])
        (killed,) = [each for each in stack.servers.values() if each.pid == pid]
        killed.kill()
        await eventually(lambda: len(server.requests) >= 2)
        server.go_on.set()
        video, _ = await ended(stub, video_id)

        assert video.status == Video.STATUS_READY, video.error
        assert await parts() == []
        assert (await store.head(prefix)).size == len(film)
    await connection.close()
