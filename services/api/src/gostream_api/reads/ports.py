"""The read path's interface: what CachedVideoService offers to every transport."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


class Layer(enum.StrEnum):
    """Where an answer came from; sent to the client as `x-cache`."""

    L1 = "L1"  # this process
    L2 = "L2"  # Redis
    MISS = "MISS"  # the database, and it was cached
    STALE = "STALE"  # expired, while the database was down
    BYPASS = "BYPASS"  # the database, while the cache could not be used


@dataclass(frozen=True, slots=True)
class VideoReply:
    """An encoded gostream.v1.Video, ready for the wire, shared by everyone who asks for it."""

    version: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Read:
    """One answered read."""

    reply: VideoReply
    layer: Layer


class VideoReader(Protocol):
    """GetVideo and BatchGetVideos, whoever answers them."""

    async def get_video(self, video_id: UUID, *, min_version: int = 0) -> Read:
        """The video at `min_version` or later.

        Raises VideoNotFoundError, VersionNotReachedError and BackendUnavailableError.
        """
        ...

    async def get_videos(self, video_ids: Sequence[UUID]) -> dict[UUID, Read]:
        """Those of the videos that exist. Raises BackendUnavailableError."""
        ...


class LocalVideoReader(VideoReader, Protocol):
    """A reader that knows much by heart."""

    def peek_video(self, video_id: UUID, *, min_version: int = 0) -> bytes | None:
        """The encoded video, at once; None when it would have to ask. Raises VideoNotFoundError."""
        ...

    def peek_videos(self, video_ids: Sequence[UUID]) -> list[bytes] | None:
        """The encoded videos in the order of their ids, at once; None when it would have to ask."""
        ...
