"""The object store's port. Its adapter is gostream_shared.storage.s3."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object in the store. Its `etag` changes with the content."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PresignedUpload:
    """One HTTP request that uploads an object without credentials, until `expires_at`."""

    method: str
    url: str
    expires_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPart:
    """A part of a multipart upload in the store. Sizes in bytes."""

    number: int
    size: int
    etag: str

    @property
    def md5(self) -> bytes:
        """The MD5 of the part; empty if the ETag is none, for example with keys of a KMS."""
        text = self.etag.strip('"')
        return bytes.fromhex(text) if _MD5.fullmatch(text) else b""


@dataclass(frozen=True, slots=True, kw_only=True)
class MultipartUpload:
    """An unfinished multipart upload."""

    key: str
    upload_id: str
    started_at: datetime


class MultipartEndedError(Exception):
    """The multipart upload does not exist, or its object exists already."""


class ObjectNotFoundError(Exception):
    """The object does not exist, or has another etag than the requested one."""


class ObjectReplacedError(Exception):
    """A conditional write failed: the etag changed, or the object already exists."""


class ObjectStore(Protocol):
    """Objects in one bucket.

    Every method has a deadline and raises BackendUnavailableError if the store does not answer or rejects the
    request. Transient failures (5xx, 429, timeouts) are retried with back-off and jitter first.
    """

    async def head(self, key: str) -> StoredObject:
        """Returns the metadata of an object. Raises ObjectNotFoundError."""
        ...

    async def put(
        self,
        key: str,
        body: bytes | Path,
        *,
        content_type: str,
        cache_control: str = "",
        disposition: str = "",
    ) -> None:
        """Store an object with a checksum that the store verifies. A Path is read into memory.

        `disposition`: the Content-Disposition of its responses.
        """
        ...

    async def replace(
        self, key: str, body: bytes, *, etag: str | None, content_type: str, cache_control: str = ""
    ) -> None:
        """Store an object if the current one has that etag; with None, if no object exists.

        The store checks and writes atomically. Raises ObjectReplacedError.
        """
        ...

    async def get(self, key: str) -> bytes:
        """Returns the content of a small object. Raises ObjectNotFoundError."""
        ...

    async def download(self, key: str, to: Path, *, etag: str) -> None:
        """Stream the object into a file. Raises ObjectNotFoundError if it was removed or replaced."""
        ...

    async def read_range(self, key: str, *, start: int, size: int, etag: str) -> bytes:
        """Returns `size` bytes from `start`, fewer at the end of the object. Raises ObjectNotFoundError."""
        ...

    def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        """Yield every object below the prefix."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove the objects. Missing objects are not an error."""
        ...

    async def create_multipart(self, key: str, *, content_type: str, disposition: str = "") -> str:
        """Begin a multipart upload of an object. Returns its id, which is unique.

        `disposition`: the Content-Disposition of its responses.
        """
        ...

    async def sign_part(
        self, key: str, upload_id: str, *, number: int, size_bytes: int, md5: bytes, expires_in: timedelta
    ) -> PresignedUpload:
        """Returns a URL at the public endpoint that stores this part, with that size and MD5.

        A part that is sent again replaces the earlier one.
        """
        ...

    async def put_part(self, key: str, upload_id: str, *, number: int, data: bytes) -> StoredPart:
        """Store a part with an MD5 that the store verifies. Raises MultipartEndedError."""
        ...

    async def list_parts(self, key: str, upload_id: str) -> Sequence[StoredPart]:
        """Returns the stored parts in the order of their numbers. Raises MultipartEndedError.

        A part that was sent with several contents has the last one. It is left out if that is not known.
        """
        ...

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[StoredPart]) -> None:
        """Make the parts the object, unless it exists.

        Raises MultipartEndedError, also if an earlier call with a lost answer succeeded: then the object
        exists. A later call may also succeed again.
        """
        ...

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Remove a multipart upload and its parts. A missing upload is not an error."""
        ...

    def list_multiparts(self, prefix: str) -> AsyncIterator[MultipartUpload]:
        """Yield every unfinished multipart upload below the prefix."""
        ...

    async def abort_multipart_uploads(self, prefix: str) -> None:
        """Abort unfinished multipart uploads below the prefix, whose size no listing shows."""
        ...

    async def presign_upload(
        self, key: str, *, content_type: str, size_bytes: int | None, expires_in: timedelta
    ) -> PresignedUpload:
        """Returns a URL at the public endpoint that creates the object once, with that content type and size.

        It never replaces an object. If `size_bytes` is None, any size is accepted.
        """
        ...
