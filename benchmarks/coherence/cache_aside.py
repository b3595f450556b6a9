"""Plain cache-aside: look up, load once per process, store, delete after a write."""

import asyncio
from typing import Any, Protocol
from uuid import UUID

from gostream_shared.domain.repositories import VideoRepository

#: TTL of an entry in seconds.
TTL = 3600


class Store(Protocol):
    """A key-value cache."""

    async def get(self, key: str) -> Any: ...

    async def put(self, key: str, value: dict[str, Any]) -> None: ...

    async def drop(self, key: str) -> None: ...


class CacheAside:
    """Implements System over any store, with single flight per process."""

    def __init__(self, store: Store, videos: VideoRepository) -> None:
        self._store = store
        self._videos = videos
        self._flights: dict[UUID, asyncio.Task[int]] = {}

    async def get(self, video_id: UUID) -> int:
        flight = self._flights.get(video_id)
        if flight is None:
            value = await self._store.get(str(video_id))
            if value is not None:
                return int(value["version"])
            flight = self._flights.get(video_id) or self._begin(video_id)
        return await asyncio.shield(flight)

    async def announce(self, video_id: UUID, version: int) -> bool:
        await self._store.drop(str(video_id))
        return True

    async def counters(self) -> dict[str, int]:
        return {}

    def _begin(self, video_id: UUID) -> asyncio.Task[int]:
        flight = self._flights[video_id] = asyncio.create_task(self._load(video_id))
        flight.add_done_callback(lambda _: self._flights.pop(video_id))
        return flight

    async def _load(self, video_id: UUID) -> int:
        video = await self._videos.get(video_id)
        await self._store.put(str(video_id), {"version": video.version, "title": video.title})
        return video.version
