"""The fast door's application with a database that answers late; Envoy embeds it in the harness's doors."""

import asyncio
import os
import random
from uuid import UUID

from gostream_api.door.asgi import app
from gostream_shared.db.videos import PostgresVideoRepository
from gostream_shared.domain.video import Video

__all__ = ["LOAD_DELAY", "app"]

#: The variable that says how many seconds late a read comes at most.
LOAD_DELAY = "BENCH_LOAD_DELAY"

_get = PostgresVideoRepository.get


async def _get_late(self: PostgresVideoRepository, video_id: UUID) -> Video:
    video = await _get(self, video_id)
    await asyncio.sleep(random.uniform(0, float(os.environ[LOAD_DELAY])))
    return video


PostgresVideoRepository.get = _get_late  # type: ignore[method-assign]
