"""Multipart uploads of the S3 adapter. Clients send the parts with presigned URLs.

No checksum algorithm is declared: stores differ in what Complete then requires, and they refuse parts without
that checksum. The MD5 of a part is signed into its URL instead, and its ETag proves what is stored.
"""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

import aioboto3
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import NoCredentialsError

from gostream_shared.config import Config
from gostream_shared.storage.port import (
    MultipartEndedError,
    MultipartUpload,
    ObjectNotFoundError,
    PresignedUpload,
    StoredPart,
)
from gostream_shared.storage.s3_errors import REQUEST_TIMEOUT, TRANSFER_TIMEOUT, store_errors

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import PartTypeDef


def _newest(listed: "Sequence[PartTypeDef]") -> list[StoredPart]:
    """Returns the newest content of each part in the order of the numbers.

    SeaweedFS lists every content of a part that was sent several times, in no order, and times have seconds
    only. A part with two contents of the same second is left out, as if it was not stored.
    """
    contents: dict[int, dict[str, PartTypeDef]] = {}
    for part in listed:
        found = contents.setdefault(part["PartNumber"], {})
        moment = part["LastModified"]
        newest = max((each["LastModified"] for each in found.values()), default=moment)
        if moment > newest:
            found.clear()
        if moment >= newest:
            found[part["ETag"]] = part
    return [
        StoredPart(number=number, size=part["Size"], etag=part["ETag"])
        for number, found in sorted(contents.items())
        if len(found) == 1
        for part in found.values()
    ]


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


class S3Multipart:
    """The methods of storage.port.ObjectStore for multipart uploads."""

    def __init__(
        self, session: aioboto3.Session, client: "S3Client", signer: "S3Client", config: Config
    ) -> None:
        self.session = session
        self._client = client
        self._signer = signer
        self._bucket = config.s3_bucket
        self._page: Any = {}
        self._public_base = ""

    async def create_multipart(self, key: str, *, content_type: str, disposition: str = "") -> str:
        extra: Any = {"ContentDisposition": disposition} if disposition else {}
        async with store_errors(REQUEST_TIMEOUT):
            answer = await self._client.create_multipart_upload(
                Bucket=self._bucket, Key=key, ContentType=content_type, **extra
            )
        return answer["UploadId"]

    async def sign_part(
        self, key: str, upload_id: str, *, number: int, size_bytes: int, md5: bytes, expires_in: timedelta
    ) -> PresignedUpload:
        seconds = int(expires_in.total_seconds())
        headers = {"Content-MD5": b64encode(md5).decode()}
        query = urlencode({"partNumber": number, "uploadId": upload_id}, quote_via=quote)
        async with store_errors(REQUEST_TIMEOUT):
            url = f"{await self._base()}{quote(key)}?{query}"
            request = AWSRequest(method="PUT", url=url, headers=headers | {"Content-Length": str(size_bytes)})
            # Less than half of the CPU of generate_presigned_url, which builds the request from the model.
            region = self._signer.meta.region_name
            S3SigV4QueryAuth(await self._credentials(), "s3", region, expires=seconds).add_auth(request)
        return PresignedUpload(
            method="PUT",
            url=cast("str", request.url),
            expires_at=datetime.now(UTC) + timedelta(seconds=seconds),
            headers=headers,
        )

    async def put_part(self, key: str, upload_id: str, *, number: int, data: bytes) -> StoredPart:
        md5 = b64encode(await asyncio.to_thread(_md5, data)).decode()
        try:
            async with store_errors(TRANSFER_TIMEOUT):
                answer = await self._client.upload_part(
                    Bucket=self._bucket,
                    Key=key,
                    UploadId=upload_id,
                    PartNumber=number,
                    Body=data,
                    ContentMD5=md5,
                )
        except ObjectNotFoundError:
            raise MultipartEndedError from None
        return StoredPart(number=number, size=len(data), etag=answer["ETag"])

    async def list_parts(self, key: str, upload_id: str) -> list[StoredPart]:
        listed: list[PartTypeDef] = []
        marker: Any = {}
        while True:
            try:
                async with store_errors(REQUEST_TIMEOUT):
                    page = await self._client.list_parts(
                        Bucket=self._bucket, Key=key, UploadId=upload_id, **marker
                    )
            except ObjectNotFoundError:
                raise MultipartEndedError from None
            listed += page.get("Parts", [])
            if not page.get("IsTruncated"):
                return _newest(listed)
            marker = {"PartNumberMarker": page["NextPartNumberMarker"]}

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[StoredPart]) -> None:
        listed: Any = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        try:
            async with store_errors(TRANSFER_TIMEOUT):
                await self._client.complete_multipart_upload(
                    Bucket=self._bucket,
                    Key=key,
                    UploadId=upload_id,
                    MultipartUpload={"Parts": listed},
                    IfNoneMatch="*",
                )
        except ObjectNotFoundError:
            raise MultipartEndedError from None

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        try:
            async with store_errors(REQUEST_TIMEOUT):
                await self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
        except ObjectNotFoundError:
            return

    async def list_multiparts(self, prefix: str) -> AsyncIterator[MultipartUpload]:
        markers: Any = {}
        while True:
            async with store_errors(REQUEST_TIMEOUT):
                page = await self._client.list_multipart_uploads(
                    Bucket=self._bucket, Prefix=prefix, **self._page, **markers
                )
            for upload in page.get("Uploads", []):
                yield MultipartUpload(
                    key=upload["Key"], upload_id=upload["UploadId"], started_at=upload["Initiated"]
                )
            # SeaweedFS sends only the second one, and finds nothing with another key marker.
            following = {
                "KeyMarker": page.get("NextKeyMarker"),
                "UploadIdMarker": page.get("NextUploadIdMarker"),
            }
            markers = {name: value for name, value in following.items() if value}
            if not page.get("IsTruncated") or not markers:
                return

    async def abort_multipart_uploads(self, prefix: str) -> None:
        for upload in [found async for found in self.list_multiparts(prefix)]:
            await self.abort_multipart(upload.key, upload.upload_id)

    async def _base(self) -> str:
        """Returns the URL of the bucket at the public endpoint, with a trailing slash.

        The driver chooses between the path and the host of the bucket, so it is queried once.
        """
        if not self._public_base:
            parameters = {"Bucket": self._bucket, "Key": "k"}
            url = await self._signer.generate_presigned_url("get_object", Params=parameters)
            self._public_base = url.partition("?")[0].removesuffix("k")
        return self._public_base

    async def _credentials(self) -> Any:
        """Returns the current credentials, which a role may refresh. Raises NoCredentialsError."""
        session: Any = self.session  # boto3's types do not know that these methods are coroutines
        credentials = await session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        return await credentials.get_frozen_credentials()
