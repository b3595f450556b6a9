"""Permissions of the API's and worker's keys on a real object store with Compose's policies."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gostream_devstack.fixtures import Bucket
from gostream_devstack.servers.seaweedfs import SeaweedFS
from gostream_shared.config import Config, load
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.storage.port import ObjectNotFoundError
from gostream_shared.storage.s3 import S3ObjectStore

pytestmark = pytest.mark.stack

Act = Callable[[S3ObjectStore, str], Awaitable[Any]]


async def put(store: S3ObjectStore, key: str) -> None:
    await store.put(key, b"x", content_type="video/mp4")


async def head(store: S3ObjectStore, key: str) -> None:
    await store.head(key)


async def get(store: S3ObjectStore, key: str) -> None:
    await store.get(key)


async def delete(store: S3ObjectStore, key: str) -> None:
    await store.delete([key])


async def list_(store: S3ObjectStore, key: str) -> None:
    assert [found.key async for found in store.list(key)] == [key]


async def abort(store: S3ObjectStore, key: str) -> None:
    await store.abort_multipart_uploads(key)


async def upload_in_parts(store: S3ObjectStore, key: str) -> None:
    upload_id = await store.create_multipart(key, content_type="video/mp4")
    await store.list_parts(key, upload_id)
    await store.abort_multipart(key, upload_id)


@pytest.fixture
async def open_store(
    object_store_server: SeaweedFS,
) -> AsyncIterator[Callable[..., Awaitable[S3ObjectStore]]]:
    """Returns a function that opens the store with the key of `role`, or of the administrator."""
    async with AsyncExitStack() as stack:

        async def open_(role: str = "") -> S3ObjectStore:
            server = object_store_server
            key, secret = server.service_keys.get(role, (server.access_key, server.secret_key))
            variables = {"S3_ENDPOINT_URL": server.endpoint_url, "S3_BUCKET": server.bucket}
            keys = {"S3_ACCESS_KEY": key, "S3_SECRET_KEY": secret}
            config = load(Config, {"DATABASE_URL": "postgresql://unused", **variables, **keys})
            return await stack.enter_async_context(S3ObjectStore.open(config))

        yield open_


@pytest.mark.parametrize(
    ("role", "folder", "allowed", "refused"),
    [
        ("api", "uploads", [put, head, get, upload_in_parts], [delete, abort]),
        ("api", "hls", [], [put, delete, abort, upload_in_parts]),
        ("api", "gate", [put, list_, delete], [get, abort]),
        ("api", "elsewhere", [], [put, head, get, delete, abort]),
        ("worker", "uploads", [put, head, get, list_, abort, delete], []),
        ("worker", "hls", [put, head, get, list_, abort, delete], []),
        ("worker", "gate", [put, head, get, list_, abort, delete], []),
        ("worker", "elsewhere", [], [put, head, get, delete]),
    ],
)
async def test_key_allows_only_its_service_operations(
    open_store: Callable[..., Awaitable[S3ObjectStore]],
    bucket: Bucket,
    role: str,
    folder: str,
    allowed: list[Act],
    refused: list[Act],
) -> None:
    key = f"{folder}/{bucket.prefix}a"
    store = await open_store(role)
    await put(await open_store(), key)

    for act in refused:
        with pytest.raises(BackendUnavailableError):
            await act(store, key)
    for act in allowed:
        await act(store, key)


@pytest.mark.parametrize("role", ["api", "worker"])
async def test_key_distinguishes_a_missing_source(
    open_store: Callable[..., Awaitable[S3ObjectStore]], bucket: Bucket, role: str
) -> None:
    with pytest.raises(ObjectNotFoundError):
        await head(await open_store(role), f"uploads/{bucket.prefix}missing")
