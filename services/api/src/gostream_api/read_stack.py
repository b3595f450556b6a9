"""Composes the read path that both ports share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from gostream_api.config import ApiConfig
from gostream_api.reads.cached_video_service import CachedVideoService
from gostream_api.rpc.convert import encode_video, owner_of
from gostream_shared.cache.compose import Cache, open_cache
from gostream_shared.cache.start import check_redis
from gostream_shared.db.connecting.address import DatabaseAddress
from gostream_shared.db.database import PostgresDatabase


@dataclass(frozen=True, slots=True)
class ReadPath:
    """The read path and its backends."""

    database: PostgresDatabase
    cache: Cache
    videos: CachedVideoService


@asynccontextmanager
async def open_reads(config: ApiConfig) -> AsyncIterator[ReadPath]:
    """Open the database, the cache and its bus.

    Only the database must be up. Raises BackendUnavailableError if it is down, and BackendRefusedError if the
    database or Redis rejects the user or the password.
    """
    await check_redis(config)
    address = DatabaseAddress.of(config)
    async with (
        PostgresDatabase.open(address, max_size=config.database_pool_size) as database,
        open_cache(config, outbox=database.outbox, epochs=database.epochs, subscribe=True) as cache,
        CachedVideoService.open(
            cache,
            database.videos,
            encode=partial(encode_video, cdn_base_url=config.cdn_base_url),
            owner_of=owner_of,
            max_bytes=config.l1_bytes,
        ) as videos,
    ):
        yield ReadPath(database, cache, videos)
