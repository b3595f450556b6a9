"""Sources that no one uploads: fetched from a URL, or read in place by their object key."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSource:
    """The remote source of a video: `url` or `key` is set, never both.

    Once the URL was fetched, or the video was deleted, both are empty: the source is stored like an upload.
    """

    url: str = ""
    key: str = ""


class RemoteSources(Protocol):
    """The remote sources of videos. Every method raises BackendUnavailableError."""

    async def add(self, video_id: UUID, source: RemoteSource) -> None:
        """Record the source of a new video."""
        ...

    async def get(self, video_id: UUID) -> RemoteSource | None:
        """Returns the source, or None for a video with an upload."""
        ...

    async def lock_unfetched(self, video_id: UUID) -> bool:
        """Lock the video until the end of the transaction. Returns whether its URL is still to be fetched."""
        ...

    async def note_fetched(self, video_id: UUID, *, size_bytes: int, sha256: bytes | None) -> None:
        """Record that the source is stored, and forget its URL, which may contain a secret."""
        ...
