"""The S3 adapter of the object store, on aioboto3."""

import asyncio
import os
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from zlib import crc32

import aioboto3
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from gostream_shared.config import Config
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.observability.causes import name_server
from gostream_shared.observability.tracing import spans
from gostream_shared.storage.port import (
    ObjectNotFoundError,
    ObjectReplacedError,
    PresignedUpload,
    StoredObject,
)
from gostream_shared.storage.s3_errors import (
    BACKEND,
    REQUEST_TIMEOUT,
    TRANSFER_TIMEOUT,
    is_loopback,
    store_errors,
    store_name,
)
from gostream_shared.storage.s3_multipart import S3Multipart

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_CHUNK = 1 << 20
_DELETE_BATCH = 1000  # S3's limit

#: Statuses of a request that the store does not implement.
_UNKNOWN = frozenset({400, 405, 501})


class S3ObjectStore(S3Multipart):
    """Implements storage.port.ObjectStore. Open it with `async with S3ObjectStore.open(config)`.

    `client` sends requests from this process. `signer` signs URLs for the public endpoint, because a
    signature covers the host. `session` creates further clients without loading the service model again.
    """

    def __init__(
        self, session: aioboto3.Session, client: "S3Client", signer: "S3Client", config: Config
    ) -> None:
        super().__init__(session, client, signer, config)
        self._checksum: Any = {"ChecksumAlgorithm": "CRC32"} if config.s3_checksums else {}
        self._deletes_many = True

    @classmethod
    @asynccontextmanager
    async def open(cls, config: Config) -> AsyncIterator[Self]:
        """Create the clients. They connect with the first request."""
        name_server(BACKEND, store_name(config.s3_endpoint_url, config.s3_bucket))
        # Importing a service model reads megabytes of JSON, so it runs in a thread.
        session = await asyncio.to_thread(new_session, config)
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                new_client(session, config.s3_endpoint_url, config.s3_ca_file)
            )
            signer, public = client, config.s3_public_endpoint_url or config.s3_endpoint_url
            if public != config.s3_endpoint_url:
                signer = await stack.enter_async_context(new_client(session, public, config.s3_ca_file))
            yield cls(session, client, signer, config)

    async def head(self, key: str) -> StoredObject:
        async with store_errors(REQUEST_TIMEOUT):
            answer = await self._client.head_object(Bucket=self._bucket, Key=key)
        return StoredObject(key=key, size=answer["ContentLength"], etag=answer["ETag"])

    async def put(
        self,
        key: str,
        body: bytes | Path,
        *,
        content_type: str,
        cache_control: str = "",
        disposition: str = "",
    ) -> None:
        data = await asyncio.to_thread(body.read_bytes) if isinstance(body, Path) else body
        shown = {"ContentDisposition": disposition} if disposition else None
        await self._put(key, data, content_type, cache_control, shown)

    async def replace(
        self, key: str, body: bytes, *, etag: str | None, content_type: str, cache_control: str = ""
    ) -> None:
        try:
            condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
            await self._put(key, body, content_type, cache_control, condition)
        except ObjectNotFoundError:
            raise ObjectReplacedError from None

    async def _put(
        self, key: str, data: bytes, content_type: str, cache_control: str, condition: Any = None
    ) -> None:
        extra: Any = {"CacheControl": cache_control} if cache_control else {}
        if self._checksum:
            # Over https the driver's own one would follow the body, in an encoding that some stores keep.
            extra["ChecksumCRC32"] = b64encode(crc32(data).to_bytes(4, "big")).decode()
        async with store_errors(TRANSFER_TIMEOUT):
            await self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=data,
                ContentType=content_type,
                **extra,
                **(condition or {}),
            )

    async def get(self, key: str) -> bytes:
        async with store_errors(TRANSFER_TIMEOUT):
            answer = await self._client.get_object(Bucket=self._bucket, Key=key)
            async with answer["Body"] as body:
                return await body.read()

    async def download(self, key: str, to: Path, *, etag: str) -> None:
        async with store_errors(REQUEST_TIMEOUT):
            answer = await self._client.get_object(Bucket=self._bucket, Key=key, IfMatch=etag)
        body = answer["Body"]
        try:
            await asyncio.to_thread(to.write_bytes, b"")
            while chunk := await _next_chunk(body):
                await asyncio.to_thread(_append, to, chunk)
        finally:
            body.close()

    async def read_range(self, key: str, *, start: int, size: int, etag: str) -> bytes:
        wanted = f"bytes={start}-{start + size - 1}"
        async with store_errors(REQUEST_TIMEOUT):
            try:
                answer = await self._client.get_object(
                    Bucket=self._bucket, Key=key, IfMatch=etag, Range=wanted
                )
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "InvalidRange":
                    return b""  # the range starts after the end
                raise
            async with answer["Body"] as body:
                return await body.read()

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        token: Any = {}
        while True:
            async with store_errors(REQUEST_TIMEOUT):
                page = await self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **token)
            for entry in page.get("Contents", []):
                yield StoredObject(key=entry["Key"], size=entry["Size"], etag=entry["ETag"])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    async def delete(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), _DELETE_BATCH):
            batch = keys[start : start + _DELETE_BATCH]
            if not (self._deletes_many and await self._delete_many(batch)):
                self._deletes_many = False
                for key in batch:
                    async with store_errors(REQUEST_TIMEOUT):
                        await self._client.delete_object(Bucket=self._bucket, Key=key)

    async def _delete_many(self, keys: Sequence[str]) -> bool:
        """Returns False if the store does not support the request or its checksum."""
        async with store_errors(REQUEST_TIMEOUT):
            try:
                answer = await self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
                )
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in _UNKNOWN:
                    return False
                raise
        if answer.get("Errors"):
            raise BackendUnavailableError("object store")
        return True

    async def presign_upload(
        self, key: str, *, content_type: str, size_bytes: int | None, expires_in: timedelta
    ) -> PresignedUpload:
        headers = {"Content-Type": content_type, "If-None-Match": "*"}
        parameters: dict[str, object] = {
            "Bucket": self._bucket,
            "Key": key,
            "ContentType": content_type,
            "IfNoneMatch": "*",
        }
        if size_bytes is not None:
            parameters["ContentLength"] = size_bytes
        seconds = int(expires_in.total_seconds())
        async with store_errors(REQUEST_TIMEOUT):
            url = await self._signer.generate_presigned_url(
                "put_object", Params=parameters, ExpiresIn=seconds
            )
        return PresignedUpload(
            method="PUT",
            url=url,
            expires_at=datetime.now(UTC) + timedelta(seconds=seconds),
            headers=headers,
        )


def _append(path: Path, data: bytes) -> None:
    """Append to a file. Opens and closes it in one thread, because a cancelled caller could not close it.

    Does not create the file: a cancelled caller may have removed it.
    """
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(data)


async def _next_chunk(body: Any) -> bytes:
    async with store_errors(TRANSFER_TIMEOUT):
        chunk: bytes = await body.read(_CHUNK)
        return chunk


def new_session(config: Config) -> aioboto3.Session:
    """Returns a session. Blocks while it reads files."""
    key, secret = config.s3_access_key.get_secret_value(), config.s3_secret_key.get_secret_value()
    session = aioboto3.Session(
        aws_access_key_id=key or None, aws_secret_access_key=secret or None, region_name=config.s3_region
    )
    spans.watch_store(session.events)
    return session


def new_client(
    session: aioboto3.Session, endpoint: str | None, ca_file: Path | None = None, *, attempts: int = 4
) -> Any:
    """Returns an async context manager of a client. `attempts` includes the first one.

    `ca_file` replaces the driver's authorities; AWS_CA_BUNDLE does so too.
    """
    return session.client(
        "s3",
        endpoint_url=endpoint,
        verify=str(ca_file) if ca_file else None,
        config=AioConfig(
            signature_version="s3v4",
            # Path style for a configured endpoint, where the bucket name may not resolve as a host.
            s3={"addressing_style": "path" if endpoint else "auto"},
            retries={"mode": "standard", "max_attempts": attempts},
            connect_timeout=3,
            read_timeout=20,
            max_pool_connections=32,
            # None = the proxy variables of the environment, which must not apply to loopback.
            proxies={} if endpoint and is_loopback(endpoint) else None,
            # Checksums are set per request: other stores reject or store the driver's default ones.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
