"""The interface of the read path, which CachedVideoService implements for every transport."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from gostream_api.principal import Principal


class Layer(enum.StrEnum):
    """The layer that a reply came from; sent to the client as `x-cache`."""

    L1 = "L1"  # this process
    L2 = "L2"  # Redis
    MISS = "MISS"  # the database; the reply was cached
    STALE = "STALE"  # an expired entry, because the database is down
    BYPASS = "BYPASS"  # the database, because the cache is unavailable


@dataclass(slots=True)
class VideoReply:
    """An encoded gostream.v1.Video, shared by all callers."""

    version: int
    payload: bytes
    #: The same as JSON, once a caller has built it; set by LocalVideoReader.keep_json only.
    json: bytes | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Read:
    """A reply and its layer."""

    reply: VideoReply
    layer: Layer


class VideoReader(Protocol):
    """The reads of GetVideo and BatchGetVideos. Another owner's video does not exist for the caller."""

    async def get_video(self, caller: Principal, video_id: UUID, *, min_version: int = 0) -> Read:
        """Returns the video at `min_version` or later.

        Raises VideoNotFoundError, VersionNotReachedError and BackendUnavailableError.
        """
        ...

    async def get_videos(self, caller: Principal, video_ids: Sequence[UUID]) -> dict[UUID, Read]:
        """Returns the existing videos by id. Raises BackendUnavailableError."""
        ...


class LocalVideoReader(VideoReader, Protocol):
    """A reader with a synchronous L1 lookup."""

    def peek_video(self, caller: Principal, video_id: UUID, *, min_version: int = 0) -> bytes | None:
        """Returns the encoded video from L1; None if L1 has no entry. Raises VideoNotFoundError."""
        ...

    def peek_videos(self, caller: Principal, video_ids: Sequence[UUID]) -> list[bytes] | None:
        """Returns the encoded videos from L1 in the order of the ids; None unless L1 has all of them."""
        ...

    def peek_reply(self, caller: Principal, video_id: UUID, *, min_version: int = 0) -> VideoReply | None:
        """Like `peek_video`, but returns the reply that its callers share."""
        ...

    def peek_replies(self, caller: Principal, video_ids: Sequence[UUID]) -> list[VideoReply] | None:
        """Like `peek_videos`, but returns the replies that their callers share."""
        ...

    def keep_json(self, video_id: UUID, reply: VideoReply, json: bytes) -> None:
        """Set `reply.json`. L1 counts its bytes while it has the reply."""
        ...
