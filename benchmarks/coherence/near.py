"""The near cache of the Python client, over one API for each replica process."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

from benchmarks.coherence.door import running_api
from benchmarks.coherence.systems import Reader
from gostream_client import AsyncClient, NearCounts

_START_TIMEOUT = 45.0


class Near:
    """Implements Reader; writers announce in their own process."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def get(self, video_id: UUID) -> int:
        return (await self._client.get_video(str(video_id))).version

    async def counters(self) -> dict[str, int]:
        counts = self._counts
        return {"near_hits": counts.hits, "near_misses": counts.misses, "near_drops": counts.drops}

    async def is_live(self) -> None:
        """Waits until reads are stored."""
        async with asyncio.timeout(_START_TIMEOUT):
            while not self._counts.is_live:
                await asyncio.sleep(0.05)

    @property
    def _counts(self) -> NearCounts:
        counts = self._client.near_cache
        if counts is None:
            raise RuntimeError("the client has no near cache")
        return counts


@asynccontextmanager
async def open_near(environment: Mapping[str, str], load_delay: float) -> AsyncIterator[Reader]:
    """Starts an API, and stops it after the block."""
    with running_api(environment, load_delay) as api:
        async with AsyncClient(api.address, timeout=10, near_cache=10_000) as client:
            near = Near(client)
            await near.is_live()
            yield near
