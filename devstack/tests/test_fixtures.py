"""The fixtures that other tests use."""

import asyncio
import http.client
import time
from collections.abc import Callable
from typing import Any

import aioboto3
import asyncpg
import psutil
import pytest
import redis.asyncio
from botocore.exceptions import ClientError

from gostream_devstack.fixtures import Bucket, RedisSettings
from gostream_devstack.servers.postgres import Postgres
from gostream_devstack.servers.seaweedfs import SeaweedFS
from gostream_devstack.servers.valkey import Valkey

pytestmark = pytest.mark.stack


async def _fetch(url: str, sql: str) -> Any:
    connection = await asyncpg.connect(url, timeout=60)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


@pytest.mark.parametrize("_round", [1, 2])
async def test_every_test_gets_its_own_database(database_url: str, _round: int) -> None:
    await _fetch(database_url, "CREATE TABLE mine (id int)")
    assert await _fetch(database_url, "SELECT count(*) FROM mine") == 0


async def test_application_role_is_no_superuser(database_url: str) -> None:
    assert await _fetch(database_url, "SELECT current_setting('is_superuser')") == "off"


async def test_wrong_password_is_refused(postgres_server: Postgres) -> None:
    url = postgres_server.url.replace(postgres_server.password, "wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url, timeout=60)


@pytest.mark.faults
def test_postgres_starts_although_its_pid_was_reused(postgres_server: Postgres, redis_server: Valkey) -> None:
    postgres_server.kill()
    lock = postgres_server.directory / "data/postmaster.pid"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(redis_server.pid), *lines[1:]]))
    postgres_server.start()


def _client(settings: RedisSettings | Valkey) -> redis.asyncio.Redis:
    return redis.asyncio.Redis(host=settings.host, port=settings.port, password=settings.password)


@pytest.mark.parametrize("_round", [1, 2])
async def test_redis_is_empty_at_the_test_start(redis_settings: RedisSettings, _round: int) -> None:
    async with _client(redis_settings) as client:
        assert await client.dbsize() == 0
        await client.set("left", "over")


@pytest.mark.faults
async def test_redis_keeps_its_port_over_kill_and_start(make_redis_server: Callable[..., Valkey]) -> None:
    server = await asyncio.to_thread(make_redis_server, maxmemory="8mb", maxmemory_policy="allkeys-lru")
    async with _client(server) as client:
        assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "allkeys-lru"
    server.kill()
    assert not server.alive
    with pytest.raises(OSError):  # noqa: PT011  (which one depends on the moment)
        server.execute("PING")
    await asyncio.to_thread(server.start)
    assert server.execute("PING") == b"+PONG\r\n"


@pytest.mark.faults
async def test_paused_redis_does_not_reply_until_resumed(make_redis_server: Callable[..., Valkey]) -> None:
    server = make_redis_server()
    server.pause()
    with pytest.raises(TimeoutError):
        server.execute("PING", timeout=0.3)
    server.resume()
    assert server.execute("PING") == b"+PONG\r\n"


async def test_redis_replica_receives_writes(make_redis_server: Callable[..., Valkey]) -> None:
    primary = make_redis_server()
    replica = make_redis_server(replicaof=f"{primary.host} {primary.port}")
    async with _client(primary) as writer, _client(replica) as reader:
        await writer.set("k", "v")
        await writer.wait(1, 30_000)
        assert await reader.get("k") == b"v"


def _store(server: SeaweedFS) -> Any:
    return aioboto3.Session().client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=server.region,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )


async def test_application_can_use_only_its_bucket(object_store_server: SeaweedFS, bucket: Bucket) -> None:
    async with _store(object_store_server) as client:
        await client.put_object(Bucket=bucket.name, Key=f"{bucket.prefix}a", Body=b"1")
        listed = await client.list_objects_v2(Bucket=bucket.name, Prefix=bucket.prefix)
        assert [item["Key"] for item in listed["Contents"]] == [f"{bucket.prefix}a"]
        with pytest.raises(ClientError, match="AccessDenied"):
            await client.create_bucket(Bucket="another")
        with pytest.raises(ClientError, match="AccessDenied"):
            await client.delete_bucket_policy(Bucket=bucket.name)


def _busy(process: psutil.Process) -> float:
    """CPU use over two seconds, as a fraction of a core."""
    began, before = time.monotonic(), process.cpu_times()
    time.sleep(2)
    elapsed, after = time.monotonic() - began, process.cpu_times()
    return float(after.user + after.system - before.user - before.system) / elapsed


@pytest.mark.slow
def test_idle_store_uses_little_cpu(object_store_server: SeaweedFS) -> None:
    """With too low a memory limit, Go constantly spends a tenth of a core on garbage collection."""
    process = psutil.Process(object_store_server.pid)

    assert min(_busy(process) for _ in range(3)) < 0.05


def _anonymous(server: SeaweedFS, method: str, path: str, referer: str = "") -> int:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    try:
        headers = {"Referer": referer} if referer else {}
        connection.request(method, path, b"x" if method == "PUT" else None, headers)
        return connection.getresponse().status
    finally:
        connection.close()


async def test_only_the_edge_reads_streams(object_store_server: SeaweedFS, bucket: Bucket) -> None:
    async with _store(object_store_server) as client:
        for key in (f"hls/{bucket.prefix}a", f"uploads/{bucket.prefix}a"):
            await client.put_object(Bucket=bucket.name, Key=key, Body=b"1")
    server = object_store_server
    assert _anonymous(server, "GET", f"/{bucket.name}/hls/{bucket.prefix}a", server.edge_secret) == 200
    assert _anonymous(server, "GET", f"/{bucket.name}/hls/{bucket.prefix}a") == 403
    assert _anonymous(server, "GET", f"/{bucket.name}/hls/{bucket.prefix}a", "https://example.org/") == 403
    assert _anonymous(server, "GET", f"/{bucket.name}/uploads/{bucket.prefix}a", server.edge_secret) == 403
    assert _anonymous(server, "GET", f"/{bucket.name}/uploads/{bucket.prefix}a") == 403
    assert _anonymous(server, "GET", f"/{bucket.name}/?list-type=2") == 403
    assert _anonymous(server, "PUT", f"/{bucket.name}/hls/{bucket.prefix}a") == 403
    assert _anonymous(server, "DELETE", f"/{bucket.name}/hls/{bucket.prefix}a") == 403
