"""Opens GoStream's cache as the API does, for benchmarks of its parts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID, uuid4

from gostream_api.reads.cached_video_service import CachedVideoService
from gostream_api.rpc.convert import encode_video, owner_of
from gostream_shared.cache.compose import Cache, open_cache
from gostream_shared.config import Config
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.repositories import NewVideo, VideoRepository

_START_TIMEOUT = 30.0


@asynccontextmanager
async def open_cached(
    config: Config, database: PostgresDatabase, videos: VideoRepository | None = None
) -> AsyncIterator[tuple[Cache, CachedVideoService]]:
    """Yields the cache and its service once L1 serves. Raises TimeoutError."""
    encode = partial(encode_video, cdn_base_url=config.cdn_base_url)
    async with (
        open_cache(config, outbox=database.outbox, subscribe=True, epochs=database.epochs) as cache,
        CachedVideoService.open(
            cache, videos or database.videos, encode=encode, owner_of=owner_of
        ) as service,
    ):
        async with asyncio.timeout(_START_TIMEOUT):
            while not service.is_live:
                await asyncio.sleep(0.02)
        yield cache, service


async def make_video(database: PostgresDatabase) -> UUID:
    """Creates a video. Returns its id."""
    new = NewVideo(id=uuid4(), user_id="u1", title="A title of usual length", content_type="video/mp4")
    return (await database.videos.create(new)).id
