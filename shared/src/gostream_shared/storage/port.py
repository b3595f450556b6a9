"""The object store's port. Its adapter is gostream_shared.storage.s3."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol


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

    async def put(self, key: str, body: bytes | Path, *, content_type: str, cache_control: str = "") -> None:
        """Store an object with a checksum that the store verifies. A Path is read into memory."""
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
