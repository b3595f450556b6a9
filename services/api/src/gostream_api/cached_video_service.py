"""GetVideo from the nearest place that has it: this process, Redis, the database.

`CachedVideoService` decorates the repository's reads with a local entry, a shared flight and the Redis
protocol; nothing that calls it can tell, except by speed. How it is used by the composition root:

    async with (
        open_cache(config, outbox=database.outbox, subscribe=True) as cache,
        CachedVideoService.open(cache, database.videos, encode=encode_video) as videos,
    ):
        read = await videos.get_video(video_id, min_version=0)      # Read(reply, layer)
        reads = await videos.get_videos([id1, id2])                  # {id: Read}, existing ones only
        await cache.announcer.announce(video_id, version)            # after every own commit

`announce` also drops this process's own entry and flight at once, so a caller reads its own write. Nothing
else has to be called. `videos.is_live` says whether local entries are served, for readiness and metrics.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Self
from uuid import UUID

from gostream_api.reads import Read
from gostream_shared.cache.open import Cache
from gostream_shared.domain.repository import VideoRepository
from gostream_shared.domain.video import Video


class CachedVideoService:
    """Implements gostream_api.reads.VideoReader. Open it with `open`; safe for any number of callers."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, cache: Cache, videos: VideoRepository, *, encode: Callable[[Video], bytes]
    ) -> AsyncIterator[Self]:
        """Listen to the bus and answer reads until the block ends. `encode` makes the wire's bytes."""
        raise NotImplementedError
        yield

    @property
    def is_live(self) -> bool:
        """Whether local entries may be served: the bus is proven and was heard lately."""
        raise NotImplementedError

    async def get_video(self, video_id: UUID, *, min_version: int = 0) -> Read:
        """The video at `min_version` or later.

        Raises VideoNotFoundError, VersionNotReachedError and BackendUnavailableError.
        """
        raise NotImplementedError

    async def get_videos(self, video_ids: Sequence[UUID]) -> dict[UUID, Read]:
        """Those of the videos that exist, by one pipelined look at Redis and one query."""
        raise NotImplementedError
