"""The S3 adapter on a real S3 server."""

import asyncio
import gc
import hashlib
import threading
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gostream_devstack.fixtures import Bucket
from gostream_devstack.servers.seaweedfs import SeaweedFS
from gostream_shared.config import Config, load
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.storage.port import ObjectNotFoundError, ObjectReplacedError, PresignedUpload
from gostream_shared.storage.s3 import S3ObjectStore


def config_of(server: SeaweedFS, **changes: str) -> Config:
    return load(
        Config,
        {
            "DATABASE_URL": "postgresql://unused",
            "S3_ENDPOINT_URL": server.endpoint_url,
            "S3_BUCKET": server.bucket,
            "S3_ACCESS_KEY": server.access_key,
            "S3_SECRET_KEY": server.secret_key,
            **changes,
        },
    )


@pytest.fixture
async def store(object_store_server: SeaweedFS) -> AsyncIterator[S3ObjectStore]:
    async with S3ObjectStore.open(config_of(object_store_server)) as store:
        yield store


async def test_stored_object_is_read_back(store: S3ObjectStore, bucket: Bucket, tmp_path: Path) -> None:
    key, body = f"{bucket.prefix}a", b"x" * 3_000_000
    (tmp_path / "body").write_bytes(body)

    await store.put(key, tmp_path / "body", content_type="video/mp2t", cache_control="max-age=60")

    head = await store.head(key)
    assert (head.key, head.size) == (key, len(body))
    assert await store.get(key) == body
    await store.download(key, tmp_path / "copy", etag=head.etag)
    assert hashlib.sha256((tmp_path / "copy").read_bytes()).digest() == hashlib.sha256(body).digest()


async def test_missing_object_is_not_found(store: S3ObjectStore, bucket: Bucket, tmp_path: Path) -> None:
    key = f"{bucket.prefix}nothing"

    with pytest.raises(ObjectNotFoundError):
        await store.head(key)
    with pytest.raises(ObjectNotFoundError):
        await store.get(key)
    with pytest.raises(ObjectNotFoundError):
        await store.download(key, tmp_path / "copy", etag='"0"')


async def test_replaced_object_is_not_downloaded(
    store: S3ObjectStore, bucket: Bucket, tmp_path: Path
) -> None:
    key = f"{bucket.prefix}a"
    await store.put(key, b"old", content_type="video/mp4")
    before = await store.head(key)
    await store.put(key, b"new", content_type="video/mp4")

    with pytest.raises(ObjectNotFoundError):
        await store.download(key, tmp_path / "copy", etag=before.etag)


async def test_download_cancelled_while_opening_leaks_no_file(
    store: S3ObjectStore, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python warns about a file that is never closed, and pytest turns that into an error."""
    key, began, go_on, opened = f"{bucket.prefix}a", threading.Event(), threading.Event(), threading.Event()
    await store.put(key, b"x", content_type="video/mp4")
    head = await store.head(key)
    open_file = Path.open

    def slowly(path: Path, mode: str) -> Any:
        began.set()
        go_on.wait(20)
        try:
            return open_file(path, mode)
        finally:
            opened.set()

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", slowly)
        downloading = asyncio.ensure_future(store.download(key, tmp_path / "copy", etag=head.etag))
        assert await asyncio.to_thread(began.wait, 20)
        downloading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await downloading
        go_on.set()
        assert await asyncio.to_thread(opened.wait, 20)
    gc.collect()


async def test_object_is_replaced_only_if_its_etag_matches(store: S3ObjectStore, bucket: Bucket) -> None:
    key = f"{bucket.prefix}master"
    replace = partial(store.replace, key, content_type="text/plain")

    with pytest.raises(ObjectReplacedError):
        await replace(b"none", etag='"0123456789abcdef"')
    await replace(b"first", etag=None)
    with pytest.raises(ObjectReplacedError):
        await replace(b"none", etag=None)
    seen = (await store.head(key)).etag
    await store.put(key, b"another", content_type="text/plain")
    with pytest.raises(ObjectReplacedError):
        await replace(b"none", etag=seen)

    assert await store.get(key) == b"another"


async def test_concurrent_replacement_succeeds_only_once(store: S3ObjectStore, bucket: Bucket) -> None:
    key = f"{bucket.prefix}master"
    await store.put(key, b"first", content_type="text/plain")
    etag = (await store.head(key)).etag
    replacing = [store.replace(key, b"%d" % n, etag=etag, content_type="text/plain") for n in range(10)]

    answers = await asyncio.gather(*replacing, return_exceptions=True)

    [who] = [number for number, answer in enumerate(answers) if answer is None]
    assert sum(isinstance(answer, ObjectReplacedError) for answer in answers) == 9
    assert await store.get(key) == b"%d" % who


async def test_range_ends_at_the_object_and_matches_etag(store: S3ObjectStore, bucket: Bucket) -> None:
    key = f"{bucket.prefix}a"
    await store.put(key, b"0123456789", content_type="video/mp4")
    etag = (await store.head(key)).etag

    assert await store.read_range(key, start=2, size=3, etag=etag) == b"234"
    assert await store.read_range(key, start=8, size=100, etag=etag) == b"89"
    assert await store.read_range(key, start=10, size=1, etag=etag) == b""
    await store.put(key, b"9876543210", content_type="video/mp4")
    with pytest.raises(ObjectNotFoundError):
        await store.read_range(key, start=2, size=3, etag=etag)


async def test_prefix_is_listed_and_removed_completely(store: S3ObjectStore, bucket: Bucket) -> None:
    keys = {f"{bucket.prefix}{number}" for number in range(1100)}  # more than one page of S3
    at_once = asyncio.Semaphore(16)

    async def put(key: str) -> None:
        async with at_once:
            await store.put(key, b"x", content_type="text/plain")

    await asyncio.gather(*map(put, keys))

    assert {entry.key async for entry in store.list(bucket.prefix)} == keys
    await store.delete([*keys, f"{bucket.prefix}never-was"])
    assert [entry async for entry in store.list(bucket.prefix)] == []


@pytest.mark.parametrize(
    "content_type",
    [
        "video/mp4",
        "application/octet-stream",
        "video/webm;codecs=vp9,opus",
        'video/mp4;codecs="avc1.42E01E, mp4a.40.2"',
    ],
)
async def test_presigned_upload_is_accepted_once_as_signed(
    store: S3ObjectStore, bucket: Bucket, content_type: str
) -> None:
    key = f"{bucket.prefix}upload-{hashlib.sha256(content_type.encode()).hexdigest()}"
    upload = await store.presign_upload(
        key, content_type=content_type, size_bytes=5, expires_in=timedelta(minutes=1)
    )
    headers = dict(upload.headers)
    assert headers == {"Content-Type": content_type, "If-None-Match": "*"}

    assert await send(upload, b"123456", headers) == 403
    assert await send(upload, b"12345", headers | {"Content-Type": "text/html"}) == 403
    assert await send(upload, b"12345", headers | {"If-None-Match": '"x"'}) == 403
    assert await send(upload, b"12345", {"Content-Type": content_type}) == 403
    assert await send(upload, b"12345", headers) == 200
    assert await send(upload, b"54321", headers) == 412
    assert await store.get(key) == b"12345"


async def test_only_one_concurrent_upload_succeeds(store: S3ObjectStore, bucket: Bucket) -> None:
    upload = await store.presign_upload(
        f"{bucket.prefix}upload", content_type="video/mp4", size_bytes=5, expires_in=timedelta(minutes=1)
    )

    statuses = await asyncio.gather(*(send(upload, f"{i:05d}".encode(), upload.headers) for i in range(8)))

    assert sorted(statuses) == [200] + [412] * 7


async def test_interrupted_upload_can_be_repeated(store: S3ObjectStore, bucket: Bucket) -> None:
    upload = await store.presign_upload(
        f"{bucket.prefix}upload", content_type="video/mp4", size_bytes=5, expires_in=timedelta(minutes=1)
    )

    async def half() -> AsyncIterator[bytes]:
        yield b"12"
        raise ConnectionResetError

    with pytest.raises(aiohttp.ClientError):
        await send(upload, half(), {**upload.headers, "Content-Length": "5"})

    assert await send(upload, b"12345", upload.headers) == 200


async def send(upload: PresignedUpload, body: Any, headers: Mapping[str, str]) -> int:
    """Returns the store's status."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(upload.method, upload.url, data=body, headers=headers) as answer,
    ):
        return answer.status


async def test_upload_urls_use_the_public_host(object_store_server: SeaweedFS) -> None:
    config = config_of(object_store_server, S3_PUBLIC_ENDPOINT_URL="https://upload.example.com")
    async with S3ObjectStore.open(config) as store:
        upload = await store.presign_upload(
            "k", content_type="video/mp4", size_bytes=None, expires_in=timedelta(minutes=1)
        )

    assert upload.url.startswith("https://upload.example.com/videos/k?")


async def test_unfinished_multipart_uploads_are_aborted(store: S3ObjectStore, bucket: Bucket) -> None:
    client = store._client
    await client.create_multipart_upload(Bucket=bucket.name, Key=f"{bucket.prefix}big")

    await store.abort_multipart_uploads(bucket.prefix)

    left = await client.list_multipart_uploads(Bucket=bucket.name, Prefix=bucket.prefix)
    assert left.get("Uploads", []) == []


@pytest.mark.slow
async def test_missing_store_is_unavailable(object_store_server: SeaweedFS) -> None:
    config = config_of(object_store_server, S3_ENDPOINT_URL="http://127.0.0.1:9")
    async with S3ObjectStore.open(config) as store:
        with pytest.raises(BackendUnavailableError, match="the object store does not answer"):
            await store.head("k")
