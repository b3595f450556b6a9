"""The fast door's application with delayed database reads.

Envoy embeds it in the harness's doors. Do not import it elsewhere: it patches the repository of its process.
"""

import asyncio
import os
import random
from uuid import UUID

from benchmarks.coherence.spec import LOAD_DELAY
from gostream_api.fast_door.asgi import app
from gostream_shared.db.videos import PostgresVideoRepository
from gostream_shared.domain.video import Video

__all__ = ["app"]

_get = PostgresVideoRepository.get


async def _get_late(self: PostgresVideoRepository, video_id: UUID, *, owner: str | None = None) -> Video:
    video = await _get(self, video_id, owner=owner)
    await asyncio.sleep(random.uniform(0, float(os.environ[LOAD_DELAY])))
    return video


PostgresVideoRepository.get = _get_late  # type: ignore[method-assign]
