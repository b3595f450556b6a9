"""CreateVideo with a source that no one uploads; the tests act as the worker."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest

from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import (
    CancelProcessRequest,
    CreateVideoRequest,
    CreateVideoResponse,
    DeleteVideoRequest,
    TriggerProcessRequest,
)
from gostream_shared.config import Config, load
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.video import Failure
from gostream_shared.jobs.pgqueuer import fetch_job, transcode_job
from gostream_shared.storage.s3 import S3ObjectStore

PREFIX = f"films-{uuid4()}/"
URL = "https://films.example.com/a.mp4?token=secret"


@pytest.fixture
async def store(environment: dict[str, str]) -> AsyncIterator[S3ObjectStore]:
    async with S3ObjectStore.open(load(Config, environment)) as store:
        yield store


async def create(api: Any, **fields: Any) -> CreateVideoResponse:
    answer: CreateVideoResponse = await api.stub.CreateVideo(CreateVideoRequest(title="Film", **fields))
    return answer


async def jobs(database: PostgresDatabase) -> list[asyncpg.Record]:
    return await database.pool.fetch("SELECT entrypoint, payload FROM pgqueuer ORDER BY id")


async def stored_url(database: PostgresDatabase, video_id: str) -> str | None:
    url: str | None = await database.pool.fetchval(
        "SELECT url FROM remote_sources WHERE video_id = $1", UUID(video_id)
    )
    return url


async def test_url_starts_a_fetch_at_once(api: Any, database: PostgresDatabase) -> None:
    answer = await create(api, source_url=URL, process={"profile": "quality"})

    video = answer.video
    assert (video.status, video.processing.stage) == (Video.STATUS_PROCESSING, "queued")
    assert not answer.HasField("upload")
    (job,) = await jobs(database)
    assert job["entrypoint"] == "fetch"
    assert (str(fetch_job(job["payload"]).video_id), fetch_job(job["payload"]).number) == (video.id, 1)
    assert await stored_url(database, video.id) == URL
    profile = await database.pool.fetchval("SELECT profile FROM encodes WHERE video_id = $1", UUID(video.id))
    assert profile == "quality"


async def test_url_stays_out_of_the_trail(api: Any, database: PostgresDatabase) -> None:
    await create(api, source_url=URL)

    row = await database.pool.fetchrow("SELECT method, changed FROM trail")
    assert row is not None
    assert row["method"] == "CreateVideo"
    assert '"source": "url"' in row["changed"]
    assert "example" not in str(row)


async def test_repeated_request_creates_one_video(api: Any, refused: Any, database: PostgresDatabase) -> None:
    first = await create(api, source_url=URL, request_id="r")
    again = await create(api, source_url=URL, request_id="r")

    assert again.video.id == first.video.id
    assert len(await jobs(database)) == 1
    for other in ({"source_url": URL + "x"}, {"source_url": URL, "process": {"profile": "quality"}}):
        refusal = await refused(
            api.stub.CreateVideo(CreateVideoRequest(title="Film", request_id="r", **other))
        )
        assert refusal.reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize(
    "url",
    [
        "http://films.example.com/a.mp4",
        "https://127.0.0.1/a.mp4",
        "https://[::ffff:169.254.169.254]/latest/meta-data/",
        "https://2130706433/",
        "https://localhost/a.mp4",
        "https://user:word@films.example.com/a.mp4",
        "https://films.example.com:22/a.mp4",
        "file:///etc/passwd",
        "no url",
    ],
)
async def test_url_is_refused_before_anything_is_written(
    api: Any, refused: Any, database: PostgresDatabase, url: str
) -> None:
    refusal = await refused(api.stub.CreateVideo(CreateVideoRequest(title="Film", source_url=url)))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "SOURCE_URL_REFUSED")
    assert refusal.fields == {"source_url"}
    assert url not in refusal.message
    assert await database.pool.fetchval("SELECT count(*) FROM videos") == 0


async def test_full_queue_refuses_fetches(
    start_api: Callable[..., Awaitable[Any]], refused: Any, database: PostgresDatabase
) -> None:
    api = await start_api(QUEUE_LIMIT="1")
    await create(api, source_url=URL)

    refusal = await refused(api.stub.CreateVideo(CreateVideoRequest(title="Film", source_url=URL)))

    assert refusal.reason == "QUEUE_FULL"
    assert await database.pool.fetchval("SELECT count(*) FROM videos") == 1


async def test_failed_fetch_is_tried_again(api: Any, database: PostgresDatabase) -> None:
    video = (await create(api, source_url=URL)).video
    encode = await database.encodes.begin_attempt(UUID(video.id), 1, worker="w")
    failure = Failure(code="SOURCE_UNREACHABLE", message="m", retryable=True, stage="fetching")
    await database.encodes.mark_video_failed(encode, failure)
    await database.pool.execute("DELETE FROM pgqueuer")

    again = await api.stub.TriggerProcess(TriggerProcessRequest(id=video.id))

    assert again.status == Video.STATUS_PROCESSING
    (job,) = await jobs(database)
    assert (job["entrypoint"], fetch_job(job["payload"]).number) == ("fetch", 2)


async def test_cancelled_fetch_keeps_its_url(api: Any, database: PostgresDatabase) -> None:
    video = (await create(api, source_url=URL)).video

    cancelled = await api.stub.CancelProcess(CancelProcessRequest(id=video.id))

    assert cancelled.status == Video.STATUS_CANCELLED
    assert await stored_url(database, video.id) == URL


async def test_deleted_video_forgets_its_url(api: Any, database: PostgresDatabase) -> None:
    video = (await create(api, source_url=URL)).video

    await api.stub.DeleteVideo(DeleteVideoRequest(id=video.id))

    assert await stored_url(database, video.id) is None


async def test_key_is_encoded_in_place(
    start_api: Callable[..., Awaitable[Any]], refused: Any, database: PostgresDatabase, store: S3ObjectStore
) -> None:
    api = await start_api(SOURCE_KEY_PREFIXES=f"raw/2026/,{PREFIX}")
    await store.put(f"{PREFIX}a b.mp4", b"film", content_type="video/mp4")

    answer = await create(api, source_key=f"{PREFIX}a b.mp4")

    assert (answer.video.status, answer.HasField("upload")) == (Video.STATUS_PROCESSING, False)
    (job,) = await jobs(database)
    assert job["entrypoint"] == "transcode"
    assert str(transcode_job(job["payload"]).video_id) == answer.video.id
    await store.delete([f"{PREFIX}a b.mp4"])
    await api.stub.CancelProcess(CancelProcessRequest(id=answer.video.id))
    refusal = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=answer.video.id)))
    assert refusal.reason == "SOURCE_UNREACHABLE"


async def test_missing_or_large_object_is_refused(
    start_api: Callable[..., Awaitable[Any]], refused: Any, database: PostgresDatabase, store: S3ObjectStore
) -> None:
    api = await start_api(SOURCE_KEY_PREFIXES=PREFIX, SOURCE_MAX_BYTES="3")
    await store.put(f"{PREFIX}large.mp4", b"film", content_type="video/mp4")

    missing = await refused(
        api.stub.CreateVideo(CreateVideoRequest(title="x", source_key=f"{PREFIX}none.mp4"))
    )
    large = await refused(
        api.stub.CreateVideo(CreateVideoRequest(title="x", source_key=f"{PREFIX}large.mp4"))
    )

    assert (missing.code, missing.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SOURCE_UNREACHABLE")
    assert large.fields == {"source_key"}
    assert await database.pool.fetchval("SELECT count(*) FROM videos") == 0


@pytest.mark.parametrize(
    "key",
    [
        "films/../uploads/x/source",
        "films/./a.mp4",
        "films//a.mp4",
        "films/",
        "/films/a.mp4",
        "film/a.mp4",
        "uploads/00000000-0000-0000-0000-000000000000/source",
        "hls/x/master.m3u8",
        "films/%2e%2e/uploads/x",
        "films/..\\uploads",
        "films/a\n.mp4",
        "films/a\u202e.mp4",
        "films/a?x=1",
        "films/a#x",
    ],
)
async def test_key_outside_the_prefixes_is_refused(
    start_api: Callable[..., Awaitable[Any]], refused: Any, key: str
) -> None:
    api = await start_api(SOURCE_KEY_PREFIXES="films/")

    refusal = await refused(api.stub.CreateVideo(CreateVideoRequest(title="x", source_key=key)))

    assert (refusal.reason, refusal.fields) == ("FIELD_INVALID", {"source_key"})


async def test_keys_are_off_by_default(api: Any, refused: Any) -> None:
    refusal = await refused(api.stub.CreateVideo(CreateVideoRequest(title="x", source_key="films/a.mp4")))

    assert refusal.fields == {"source_key"}
