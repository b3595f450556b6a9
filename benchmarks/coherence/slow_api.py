"""The API with delayed database reads: `python -m benchmarks.coherence.slow_api`.

Do not import it elsewhere: it patches the repository of its process.
"""

import asyncio
import os
import random
from uuid import UUID

from benchmarks.coherence.spec import LOAD_DELAY
from gostream_api.app import main
from gostream_shared.db.videos import PostgresVideoRepository
from gostream_shared.domain.video import Video

_get = PostgresVideoRepository.get


async def _get_late(self: PostgresVideoRepository, video_id: UUID, *, owner: str | None = None) -> Video:
    video = await _get(self, video_id, owner=owner)
    await asyncio.sleep(random.uniform(0, float(os.environ[LOAD_DELAY])))
    return video


if __name__ == "__main__":
    PostgresVideoRepository.get = _get_late  # type: ignore[method-assign]
    main()
