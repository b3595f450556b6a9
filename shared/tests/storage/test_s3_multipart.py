"""Multipart uploads of the S3 adapter on a real S3 server. `test_store_facts` has the rules of the store."""

import hashlib
import io
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest
from botocore.exceptions import NoCredentialsError
from yarl import URL

from gostream_devstack.fixtures import Bucket
from gostream_devstack.servers.seaweedfs import SeaweedFS
from gostream_shared.config import Config, load
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.storage.port import MultipartEndedError, PresignedUpload, StoredPart
from gostream_shared.storage.s3 import S3ObjectStore

from .test_s3 import config_of

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def store(object_store_server: SeaweedFS) -> AsyncIterator[S3ObjectStore]:
    async with S3ObjectStore.open(config_of(object_store_server)) as store:
        yield store


def md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


async def signed(store: S3ObjectStore, key: str, upload_id: str, number: int, body: bytes) -> PresignedUpload:
    return await store.sign_part(
        key, upload_id, number=number, size_bytes=len(body), md5=md5(body), expires_in=MINUTE
    )


async def test_parts_become_an_object(store: S3ObjectStore, bucket: Bucket) -> None:
    key, bodies = f"{bucket.prefix}big", [b"a" * (5 << 20), b"b" * (5 << 20), b"end"]
    upload_id = await store.create_multipart(key, content_type="video/mp4")
    async with aiohttp.ClientSession() as session:
        for number, body in enumerate(bodies, 1):
            upload = await signed(store, key, upload_id, number, body)
            async with session.put(
                URL(upload.url, encoded=True), data=io.BytesIO(body), headers=upload.headers
            ) as answer:
                assert answer.status == 200, await answer.text()

    parts = await store.list_parts(key, upload_id)
    assert [(part.number, part.size, part.md5) for part in parts] == [
        (number, len(body), md5(body)) for number, body in enumerate(bodies, 1)
    ]
    await store.complete_multipart(key, upload_id, parts)

    assert hashlib.sha256(await store.get(key)).digest() == hashlib.sha256(b"".join(bodies)).digest()
    with pytest.raises(MultipartEndedError):
        await store.list_parts(key, upload_id)
    await store.abort_multipart(key, upload_id)


async def test_urls_of_parts_use_the_public_host(object_store_server: SeaweedFS) -> None:
    config = config_of(object_store_server, S3_PUBLIC_ENDPOINT_URL="https://upload.example.com")
    async with S3ObjectStore.open(config) as store:
        upload = await signed(store, "uploads/k", "id+/=", 7, b"x")

    url = URL(upload.url, encoded=True)
    assert url.host == "upload.example.com"
    assert url.raw_path == "/videos/uploads/k"
    assert (url.query["partNumber"], url.query["uploadId"]) == ("7", "id+/=")
    assert url.query["X-Amz-SignedHeaders"] == "content-length;content-md5;host"
    assert url.query["X-Amz-Expires"] == "60"


async def test_urls_equal_those_of_the_driver(store: S3ObjectStore) -> None:
    ours = URL((await signed(store, "uploads/k", "u", 1, b"x")).url, encoded=True)
    theirs = URL(
        await store._signer.generate_presigned_url(
            "upload_part",
            Params={"Bucket": "videos", "Key": "uploads/k", "UploadId": "u", "PartNumber": 1},
        ),
        encoded=True,
    )

    assert (ours.origin(), ours.raw_path) == (theirs.origin(), theirs.raw_path)
    assert {"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"} <= set(ours.query)


async def test_bucket_is_part_of_the_host_on_aws() -> None:
    variables = {"S3_BUCKET": "films", "S3_ACCESS_KEY": "k", "S3_SECRET_KEY": "s", "S3_REGION": "eu-west-3"}
    async with S3ObjectStore.open(
        load(Config, {"DATABASE_URL": "postgresql://unused", **variables})
    ) as store:
        upload = await signed(store, "uploads/k", "u", 1, b"x")

    assert URL(upload.url, encoded=True).host in (
        "films.s3.amazonaws.com",
        "films.s3.eu-west-3.amazonaws.com",
    )


async def test_missing_credentials_make_the_store_unavailable(
    store: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none() -> None:
        return None

    monkeypatch.setattr(store.session, "get_credentials", none)

    with pytest.raises(BackendUnavailableError) as caught:
        await signed(store, "uploads/k", "u", 1, b"x")
    assert isinstance(caught.value.__cause__, NoCredentialsError)


@pytest.mark.parametrize(
    ("etag", "expected"), [('"0cc175b9c0f1b6a831c399e269772661"', md5(b"a")), ('"abc-2"', b""), ("", b"")]
)
def test_only_an_md5_is_taken_from_an_etag(etag: str, expected: bytes) -> None:
    assert StoredPart(number=1, size=1, etag=etag).md5 == expected


async def test_all_pages_of_multipart_uploads_are_aborted(store: S3ObjectStore, bucket: Bucket) -> None:
    store._page = {"MaxUploads": 2}
    kept = f"{bucket.prefix}kept/source"
    await store.create_multipart(kept, content_type="video/mp4")
    for name in ("a", "a", "a", "b", "c"):
        await store.create_multipart(f"{bucket.prefix}gone/{name}", content_type="video/mp4")

    assert len([found async for found in store.list_multiparts(f"{bucket.prefix}gone/")]) == 5
    await store.abort_multipart_uploads(f"{bucket.prefix}gone/")

    assert [found.key async for found in store.list_multiparts(bucket.prefix)] == [kept]
    await store.abort_multipart_uploads(bucket.prefix)


@pytest.mark.slow
async def test_more_than_a_page_of_parts_is_listed(store: S3ObjectStore, bucket: Bucket) -> None:
    key, count = f"{bucket.prefix}many", 1001
    upload_id = await store.create_multipart(key, content_type="video/mp4")
    async with aiohttp.ClientSession() as session:
        for number in [*range(1, count + 1), *range(1, 26)]:
            upload = await signed(store, key, upload_id, number, b"%d" % number)
            async with session.put(
                URL(upload.url, encoded=True), data=b"%d" % number, headers=upload.headers
            ) as answer:
                assert answer.status == 200

    parts = await store.list_parts(key, upload_id)

    assert [part.number for part in parts] == list(range(1, count + 1))
    assert all(part.md5 == md5(b"%d" % part.number) for part in parts)
    await store.abort_multipart(key, upload_id)


async def test_contents_of_one_second_count_as_missing(store: S3ObjectStore, bucket: Bucket) -> None:
    """SeaweedFS lists both contents, in the order of their hashes."""
    key = f"{bucket.prefix}twice"
    upload_id = await store.create_multipart(key, content_type="video/mp4")
    async with aiohttp.ClientSession() as session:
        for body in (b"ab", b"cd", b"cd", b"ef"):
            upload = await signed(store, key, upload_id, 1, body)
            async with session.put(
                URL(upload.url, encoded=True), data=io.BytesIO(body), headers=upload.headers
            ) as answer:
                assert answer.status == 200

    listed = [part.md5 for part in await store.list_parts(key, upload_id)]

    assert listed in ([], [md5(b"ef")]), "a second may have ended in between"
    await store.abort_multipart(key, upload_id)
