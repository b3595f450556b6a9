"""The object store's port. Its adapter is gostream_shared.storage.s3."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """What the store says of an object. `etag` changes when the content does."""

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
    """There is no such object, or it is no longer the one with the etag asked for."""


class ObjectReplacedError(Exception):
    """Another object stands where one was to be written than was said, or one where there was to be none."""


class ObjectStore(Protocol):
    """Objects in one bucket.

    Every method has a deadline and raises BackendUnavailableError when the store does not answer, or refuses;
    transient answers (5xx, 429, timeouts) are retried with back-off and jitter before that.
    """

    async def head(self, key: str) -> StoredObject:
        """Raises ObjectNotFoundError."""
        ...

    async def put(self, key: str, body: bytes | Path, *, content_type: str, cache_control: str = "") -> None:
        """Store an object with a checksum that the store verifies. A Path is read whole: for segments."""
        ...

    async def replace(
        self, key: str, body: bytes, *, etag: str | None, content_type: str, cache_control: str = ""
    ) -> None:
        """`put`, if the object with that etag still stands there; with None, if none does.

        Raises ObjectReplacedError; the store decides and writes in one step.
        """
        ...

    async def get(self, key: str) -> bytes:
        """The whole object: for small ones. Raises ObjectNotFoundError."""
        ...

    async def download(self, key: str, to: Path, *, etag: str) -> None:
        """Stream the object into a file. Raises ObjectNotFoundError when it is gone or was replaced."""
        ...

    async def read_range(self, key: str, *, start: int, size: int, etag: str) -> bytes:
        """`size` bytes from `start` on, fewer where the object ends. Raises as `download` does."""
        ...

    def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        """Every object below the prefix."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove the objects; those that do not exist are no error."""
        ...

    async def abort_multipart_uploads(self, prefix: str) -> None:
        """Give up unfinished multipart uploads below the prefix: no listing shows the space they cost."""
        ...

    async def presign_upload(
        self, key: str, *, content_type: str, size_bytes: int | None, expires_in: timedelta
    ) -> PresignedUpload:
        """A URL at the public endpoint that creates the object once, with that content type and size.

        It never replaces an object. Without a size any is admitted.
        """
        ...
