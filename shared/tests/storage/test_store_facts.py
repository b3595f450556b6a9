"""The rules of an object store, and the report if it breaks them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gostream_devstack.servers.seaweedfs import SeaweedFS
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.storage.check import check
from gostream_shared.storage.facts import StoreUnfitError, require_fence
from gostream_shared.storage.s3 import S3ObjectStore

from .test_s3 import config_of


class Careless(S3ObjectStore):
    """A store that ignores conditional headers of writes."""

    async def replace(self, key: str, body: bytes, *, etag: str | None, **headers: str) -> None:
        await self.put(key, body, **headers)


class Halfway(S3ObjectStore):
    """A store that supports If-None-Match but refuses If-Match on a write."""

    async def replace(self, key: str, body: bytes, *, etag: str | None, **headers: str) -> None:
        if etag:
            raise BackendUnavailableError("object store")
        await super().replace(key, body, etag=None, **headers)


async def test_every_rule_holds_on_seaweedfs(object_store_server: SeaweedFS) -> None:
    facts = await check(config_of(object_store_server))

    assert len(facts) == 32
    assert [fact.sentence for fact in facts if not fact.holds] == []


async def test_store_that_ignores_conditions_is_refused(object_store_server: SeaweedFS) -> None:
    async with Careless.open(config_of(object_store_server)) as store:
        with pytest.raises(
            StoreUnfitError, match=r"If-None-Match does not replace an object; .* no other version"
        ):
            await require_fence(store, "hls/")
        assert [found async for found in store.list("hls/.store-check")] == []


async def test_store_that_refuses_conditions_is_refused(object_store_server: SeaweedFS) -> None:
    async with Halfway.open(config_of(object_store_server)) as store:
        with pytest.raises(StoreUnfitError, match="replaces the version it names"):
            await require_fence(store, "hls/")


@pytest.mark.slow
async def test_unavailable_store_is_not_checked(object_store_server: SeaweedFS) -> None:
    config = config_of(object_store_server, S3_ENDPOINT_URL="http://127.0.0.1:9")
    async with S3ObjectStore.open(config) as store:
        with pytest.raises(BackendUnavailableError):
            await require_fence(store, "hls/")


@asynccontextmanager
async def without_multi_delete(server: SeaweedFS) -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy that answers 501 to DeleteObjects. Yields its address and the methods it receives."""
    seen: list[str] = []

    async def forward(request: web.Request) -> web.Response:
        seen.append(request.method)
        if request.method == "POST":
            return web.Response(status=501, text="<Error><Code>NotImplemented</Code></Error>")
        headers = {name: value for name, value in request.headers.items() if name != "Transfer-Encoding"}
        url = server.endpoint_url + request.raw_path
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(request.method, url, headers=headers, data=await request.read()) as answer,
        ):
            return web.Response(status=answer.status, body=await answer.read())

    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", forward)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}", seen
    finally:
        await runner.cleanup()


async def test_objects_are_removed_singly_without_batch_delete(
    object_store_server: SeaweedFS, bucket: Any
) -> None:
    keys = [f"{bucket.prefix}{number}" for number in range(3)]
    async with (
        without_multi_delete(object_store_server) as (address, seen),
        S3ObjectStore.open(config_of(object_store_server)) as direct,
        S3ObjectStore.open(config_of(object_store_server, S3_ENDPOINT_URL=address)) as store,
    ):
        await asyncio.gather(*(direct.put(key, b"x", content_type="text/plain") for key in keys))
        await store.delete(keys)
        await store.delete(keys)

        assert [found async for found in direct.list(bucket.prefix)] == []
    assert seen == ["POST", *["DELETE"] * 6], "DeleteObjects is tried once"


@pytest.mark.parametrize("checksums", ["true", "false"])
async def test_checksums_are_sent_if_required(
    object_store_server: SeaweedFS, bucket: Any, checksums: str
) -> None:
    config = config_of(object_store_server, S3_CHECKSUMS=checksums)
    async with S3ObjectStore.open(config) as store:
        sent: list[bool] = []
        store._client.meta.events.register(
            "before-send.s3.PutObject",
            lambda request, **_: sent.append(
                "x-amz-checksum-crc32" in {name.lower() for name in request.headers}
            ),
        )
        await store.put(f"{bucket.prefix}a", b"x", content_type="text/plain")

    assert sent == [checksums == "true"]


async def test_https_carries_the_body_as_it_is(object_store_server: SeaweedFS) -> None:
    """Not as `aws-chunked`, which stores keep as Content-Encoding and players do not know."""
    config = config_of(object_store_server, S3_ENDPOINT_URL="https://localhost:1")
    async with S3ObjectStore.open(config) as store:
        sent: dict[str, str] = {}

        def stop(request: Any, **_: Any) -> None:
            sent.update({name.lower(): str(value) for name, value in request.headers.items()})
            raise ConnectionAbortedError

        store._client.meta.events.register("before-send.s3.PutObject", stop)
        with pytest.raises(BackendUnavailableError):
            await store.put("a", b"x", content_type="text/plain")

    assert "x-amz-checksum-crc32" in sent
    assert not {"content-encoding", "x-amz-trailer"} & sent.keys()
