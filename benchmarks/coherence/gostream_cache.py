"""GoStream's cache, opened as the API does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from prometheus_client import REGISTRY

from benchmarks.cached import open_cached
from benchmarks.coherence.systems import System
from gostream_api.principal import ANONYMOUS
from gostream_api.reads.cached_video_service import CachedVideoService
from gostream_shared.cache.compose import Cache
from gostream_shared.config import Config
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.repositories import VideoRepository

#: Counters by metric name and labels.
COUNTED = {
    "rejected": ("gostream_stale_fill_rejected_total", ({"reason": "lease"}, {"reason": "floor"})),
    "rejected_l1": ("gostream_l1_fill_rejected_total", ({},)),
    "loads": ("gostream_db_loads_total", ({},)),
    "l1_hits": ("gostream_cache_requests_total", ({"layer": "l1", "result": "hit"},)),
}
#: Announcements that Redis refused. They count as made once the outbox relay has repeated them.
_FAILED = "gostream_announce_failed_total"


class Ours:
    """Implements System over CachedVideoService."""

    def __init__(self, cache: Cache, videos: CachedVideoService) -> None:
        self._cache = cache
        self._videos = videos

    async def get(self, video_id: UUID) -> int:
        return (await self._videos.get_video(ANONYMOUS, video_id)).reply.version

    async def announce(self, video_id: UUID, version: int) -> bool:
        failed = REGISTRY.get_sample_value(_FAILED)
        await self._cache.announcer.announce(video_id, version)
        return REGISTRY.get_sample_value(_FAILED) == failed

    async def counters(self) -> dict[str, int]:
        return {
            name: round(sum(REGISTRY.get_sample_value(metric, labels) or 0 for labels in each))
            for name, (metric, each) in COUNTED.items()
        }


@asynccontextmanager
async def open_ours(
    config: Config, database: PostgresDatabase, videos: VideoRepository
) -> AsyncIterator[System]:
    async with open_cached(config, database, videos) as (cache, service):
        yield Ours(cache, service)
