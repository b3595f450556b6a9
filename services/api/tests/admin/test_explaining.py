"""ExplainVideo with real backends: its port, its callers, and faults that are planted in them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from grpc import aio

from gostream.v1 import admin_service_pb2 as messages
from gostream.v1 import upload_service_pb2 as uploads
from gostream.v1 import video_service_pb2 as videos
from gostream.v1.admin_service_pb2_grpc import AdminServiceStub
from gostream.v1.upload_service_pb2_grpc import UploadServiceStub
from gostream_devstack.servers.postgres import Postgres
from gostream_shared.config import Config, load
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.object_keys import source_key
from gostream_shared.storage.s3 import S3ObjectStore
from services.api.tests.conftest import Api

State = messages.Explanation.State
Explain = Callable[[str], Awaitable[messages.Explanation]]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture
async def store(environment: dict[str, str]) -> AsyncIterator[S3ObjectStore]:
    async with S3ObjectStore.open(load(Config, environment)) as store:
        yield store


@pytest.fixture
def admin_port() -> int:
    return free_port()


@pytest.fixture
async def api(start_api: Callable[..., Awaitable[Api]], admin_port: int) -> Api:
    return await start_api(ADMIN_PORT=str(admin_port))


@pytest.fixture
async def explain(api: Api, admin_port: int) -> AsyncIterator[Explain]:
    async with aio.insecure_channel(f"127.0.0.1:{admin_port}") as channel:
        stub: Any = AdminServiceStub(channel)

        async def ask(video_id: str) -> messages.Explanation:
            answer: messages.Explanation = await stub.ExplainVideo(
                messages.ExplainVideoRequest(id=video_id), timeout=60
            )
            return answer

        yield ask


def facts_of(explanation: messages.Explanation) -> dict[str, str]:
    return {fact.name: fact.value for fact in explanation.facts}


async def process(api: Api, video_id: str) -> None:
    await api.stub.TriggerProcess(videos.TriggerProcessRequest(id=video_id))


async def test_upload_is_awaited_and_then_unprocessed(api: Api, explain: Explain) -> None:
    created = await api.create()
    before = await explain(created.video.id)
    assert await api.upload(created) == 200
    after = await explain(created.video.id)

    assert (before.cause, before.state) == ("UPLOAD_EXPECTED", State.STATE_WAITING)
    assert (after.cause, after.state) == ("NOT_PROCESSED", State.STATE_BAD)
    assert facts_of(after)["source"] == "present, 4 bytes"


async def test_session_tells_its_parts_and_expiry(
    api: Api, explain: Explain, database: PostgresDatabase
) -> None:
    video_id = (await api.create(size_bytes=20 << 20)).video.id
    stub: Any = UploadServiceStub(api.channel)
    await stub.CreateUpload(uploads.CreateUploadRequest(video_id=video_id))
    incomplete = await explain(video_id)
    await database.pool.execute("UPDATE upload_sessions SET expires_at = now() - interval '1 second'")
    expired = await explain(video_id)

    assert incomplete.cause == "UPLOADING"
    assert incomplete.verdict.startswith("upload: 0 of 3 parts, expires ")
    assert expired.cause == "UPLOAD_EXPIRED"


async def test_queue_position_counts_encodes_before_it(api: Api, explain: Explain) -> None:
    for _ in range(3):
        await process(api, await api.uploaded())
    last = await api.uploaded()
    await process(api, last)
    explanation = await explain(last)

    assert explanation.cause == "QUEUED"
    assert explanation.verdict == "waits: 3 encodes before it, 0 workers"
    assert facts_of(explanation)["jobs"] == "1"


async def test_long_wait_without_workers_is_bad(
    api: Api, explain: Explain, database: PostgresDatabase
) -> None:
    video_id = await api.uploaded()
    await process(api, video_id)
    await database.pool.execute("UPDATE encodes SET created_at = now() - interval '5 minutes'")
    explanation = await explain(video_id)

    assert (explanation.cause, explanation.state) == ("NO_WORKER", State.STATE_BAD)
    assert "no worker encodes anything" in explanation.verdict


async def test_lost_job_is_found(api: Api, explain: Explain, database: PostgresDatabase) -> None:
    video_id = await api.uploaded()
    await process(api, video_id)
    await database.pool.execute("DELETE FROM pgqueuer WHERE entrypoint = 'transcode'")

    assert (await explain(video_id)).cause == "JOB_LOST"


async def test_silent_worker_is_named(api: Api, explain: Explain, database: PostgresDatabase) -> None:
    video_id = await api.uploaded()
    await process(api, video_id)
    await database.encodes.begin_attempt(UUID(video_id), 1, worker="worker-7")
    await database.pool.execute(
        "UPDATE pgqueuer SET status = 'picked', heartbeat = now() - interval '5 minutes'"
    )
    explanation = await explain(video_id)

    assert explanation.cause == "WORKER_LOST"
    assert "worker-7" in explanation.verdict
    assert "1 attempts, 0 forgiven" in facts_of(explanation)["encode"]


async def test_poisoned_chunk_is_found(api: Api, explain: Explain, database: PostgresDatabase) -> None:
    video_id = await api.uploaded()
    await process(api, video_id)
    await database.encodes.begin_attempt(UUID(video_id), 1, worker="worker-7")
    await database.pool.execute("UPDATE pgqueuer SET status = 'picked', heartbeat = now()")
    await database.pool.execute(
        """INSERT INTO encode_chunks (video_id, number, chunk, kind, start_frame, seconds, tries)
        VALUES ($1, 1, 0, 'picture', 0, 5, 3), ($1, 1, 1, 'picture', 50, 5, 1)""",
        UUID(video_id),
    )
    explanation = await explain(video_id)

    assert explanation.cause == "CHUNK_FAILS"
    assert facts_of(explanation)["chunks"] == "0 done, 2 left, up to 3 tries"


@pytest.mark.parametrize(("body", "cause"), [(None, "SOURCE_MISSING"), (b"other film", "SOURCE_REPLACED")])
async def test_removed_or_replaced_source_is_found(
    api: Api, explain: Explain, store: S3ObjectStore, body: bytes | None, cause: str
) -> None:
    video_id = await api.uploaded()
    await process(api, video_id)
    key = source_key(UUID(video_id))
    if body is None:
        await store.delete([key])
    else:
        await store.put(key, body, content_type="video/mp4")

    assert (await explain(video_id)).cause == cause


async def test_unknown_video_is_not_found(explain: Explain) -> None:
    with pytest.raises(aio.AioRpcError) as refused:
        await explain(str(uuid4()))

    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("text", ["", "../etc", "A" * 36, "x" * 4096])
async def test_forged_ids_are_invalid(explain: Explain, text: str) -> None:
    with pytest.raises(aio.AioRpcError) as refused:
        await explain(text)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_other_port_does_not_know_the_service(api: Api) -> None:
    stub: Any = AdminServiceStub(api.channel)
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.ExplainVideo(messages.ExplainVideoRequest(id=str(uuid4())))

    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_admin_port_knows_no_other_service(api: Api, admin_port: int) -> None:
    async with aio.insecure_channel(f"127.0.0.1:{admin_port}") as channel:
        stub: Any = UploadServiceStub(channel)
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.GetUpload(uploads.GetUploadRequest(video_id=str(uuid4())))

    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_deleted_video_is_explained(api: Api, explain: Explain) -> None:
    video_id = await api.uploaded()
    await api.stub.DeleteVideo(videos.DeleteVideoRequest(id=video_id))
    explanation = await explain(video_id)

    assert (explanation.cause, explanation.state) == ("DELETED", State.STATE_GOOD)


@pytest.mark.direct_database
async def test_stopped_database_is_the_verdict(api: Api, explain: Explain, postgres_server: Postgres) -> None:
    video_id = await api.uploaded()
    await asyncio.to_thread(postgres_server.stop)
    explanation = await explain(video_id)

    assert explanation.cause == "DATABASE_UNAVAILABLE"
    assert "DATABASE_URL" in explanation.advice
