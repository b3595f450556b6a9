"""Starts that fail: a backend refuses the API, or the schema is not migrated."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gostream.v1.video_service_pb2 import CreateVideoRequest, TriggerProcessRequest
from gostream_api.rpc.servicer import SERVICE
from gostream_devstack.servers.postgres import ROLE, Postgres
from gostream_devstack.servers.seaweedfs import SeaweedFS
from gostream_shared.db import schema
from gostream_shared.db.migrate import migrate
from gostream_shared.domain.errors import BackendRefusedError, BackendUnavailableError

EMPTY = "test_not_migrated"


@pytest.fixture
async def empty_url(postgres_server: Postgres) -> AsyncIterator[str]:
    """A database without tables."""
    postgres_server.execute(f"CREATE DATABASE {EMPTY} OWNER {ROLE}")
    yield postgres_server.url_of(EMPTY)
    postgres_server.execute(f"DROP DATABASE {EMPTY} WITH (FORCE)")


@pytest.mark.direct_database
@pytest.mark.parametrize(
    ("pattern", "replacement", "cause"),
    [
        (r":[^:@]+@", ":wrong@", r"InvalidPasswordError \(SQLSTATE 28P01\)"),
        (r"/[^/]+$", "/nowhere", r"/nowhere: InvalidCatalogNameError \(SQLSTATE 3D000\)"),
        (r"$", "?sslmode=require", "rejected SSL upgrade"),
        (r"$", "?no_such_option=1", r"SQLSTATE 42704"),
    ],
)
async def test_refusing_database_stops_the_start(
    start_api: Any, environment: dict[str, str], pattern: str, replacement: str, cause: str
) -> None:
    url = re.sub(pattern, replacement, environment["DATABASE_URL"], count=1)

    with pytest.raises(BackendRefusedError) as refused:
        await start_api(DATABASE_URL=url)

    assert re.search(cause, refused.value.cause)
    assert str(refused.value) == "the database does not answer; try again later"  # as a client sees it


@pytest.mark.parametrize("host", ["127.0.0.1:1", "nowhere.invalid"])
async def test_unreachable_database_counts_as_an_outage(start_api: Any, host: str) -> None:
    with pytest.raises(BackendUnavailableError) as unavailable:
        await start_api(DATABASE_URL=f"postgresql://ann:hunter2@{host}/videos")

    assert not isinstance(unavailable.value, BackendRefusedError)
    assert unavailable.value.cause.startswith(f"{host}/videos: ")
    assert "hunter2" not in unavailable.value.cause


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"S3_ACCESS_KEY": "nobody"}, "GetObject: InvalidAccessKeyId"),
        ({"S3_SECRET_KEY": "wrong"}, "GetObject: SignatureDoesNotMatch"),
        ({"S3_BUCKET": "no-such-bucket"}, "the bucket name is wrong"),
        ({"REDIS_PASSWORD": "wrong"}, "AuthenticationError: invalid username-password"),
        ({"REDIS_PASSWORD": ""}, "AuthenticationError: Authentication required"),
        ({"REDIS_DB": "9999"}, "DB index is out of range"),
    ],
)
async def test_refusing_backend_stops_the_start(
    start_api: Any, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], cause: str
) -> None:
    monkeypatch.setattr("gostream_shared.storage.s3_start.CHECK_TIMEOUT", 60.0)  # a busy machine answers late
    with pytest.raises(BackendRefusedError) as refused:
        await start_api(**changes)

    assert cause in refused.value.cause


async def test_unavailable_store_does_not_stop_the_start(start_api: Any) -> None:
    api = await start_api(S3_ENDPOINT_URL="http://127.0.0.1:1", REDIS_PORT="1")

    assert await serving(api)


async def test_loopback_store_bypasses_the_proxy(
    start_api: Any, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_grpc_proxy", "127.0.0.1")  # for this test's client
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    api = await start_api()
    video = (await api.create()).video

    refusal = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=video.id), timeout=60))

    assert refusal.reason == "SOURCE_NOT_UPLOADED"


async def test_health_waits_for_the_migration(
    start_api: Any, refused: Any, eventually: Any, empty_url: str
) -> None:
    api = await start_api(DATABASE_URL=empty_url)

    assert not await serving(api)
    assert not await serving(api, SERVICE)
    refusal = await refused(api.stub.CreateVideo(CreateVideoRequest(title="x", size_bytes=4), timeout=30))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "BACKEND_UNAVAILABLE")
    await migrate(empty_url)
    await eventually(lambda: serving(api))
    await api.create()


async def test_health_follows_the_schema(
    start_api: Any, eventually: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "RECHECK_INTERVAL", 0.05)
    api = await start_api()
    assert await serving(api)

    await change(database_url, "ALTER TABLE gostream_migrations RENAME TO elsewhere")
    await eventually(lambda: stopped_serving(api))

    await change(database_url, "ALTER TABLE elsewhere RENAME TO gostream_migrations")
    await eventually(lambda: serving(api))


@pytest.mark.direct_database
async def test_health_survives_a_database_outage(
    start_api: Any, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "RECHECK_INTERVAL", 0.05)
    looks: list[bool | None] = []
    look = schema.SchemaWatch._look

    async def counted(self: schema.SchemaWatch) -> bool | None:
        looks.append(await look(self))
        return looks[-1]

    monkeypatch.setattr(schema.SchemaWatch, "_look", counted)
    api = await start_api()
    postgres_server.stop()
    try:
        while looks.count(None) < 3:
            await asyncio.sleep(0.02)
        assert await serving(api)
    finally:
        postgres_server.start()
    assert False not in looks


async def test_older_schema_is_not_served(start_api: Any, database_url: str) -> None:
    await change(database_url, "DELETE FROM gostream_migrations WHERE name LIKE '0006%'")

    assert not await serving(await start_api())


async def test_newer_schema_is_served(start_api: Any, database_url: str) -> None:
    await change(
        database_url, "INSERT INTO gostream_migrations (name) VALUES ('9999_of_the_next_release.sql')"
    )

    assert await serving(await start_api())


@pytest.mark.slow
async def test_cause_of_a_failure_is_logged(
    start_api: Any, refused: Any, object_store_server: SeaweedFS, capsys: pytest.CaptureFixture[str]
) -> None:
    api = await start_api()
    video_id = await api.uploaded()
    object_store_server.stop()
    try:
        refusal = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=video_id), timeout=60))
    finally:
        object_store_server.start()

    said = capsys.readouterr()
    logged = said.out + said.err
    assert f"server={object_store_server.endpoint_url}" in logged
    assert "EndpointConnectionError" in logged
    assert refusal.message == "the object store does not answer; try again later"


async def serving(api: Any, service: str = "") -> bool:
    health: Any = health_pb2_grpc.HealthStub(api.channel)
    reply = await health.Check(health_pb2.HealthCheckRequest(service=service), timeout=30)
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


async def stopped_serving(api: Any) -> bool:
    return not await serving(api)


async def change(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url, timeout=60)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
