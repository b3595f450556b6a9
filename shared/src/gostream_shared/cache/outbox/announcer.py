"""RedisChangeAnnouncer: announces committed versions to every replica."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import structlog

from gostream_shared.cache.metrics import ANNOUNCE_FAILED
from gostream_shared.cache.outbox.port import Outbox
from gostream_shared.cache.outbox.unannounced import Unannounced
from gostream_shared.cache.protocol import CacheUnavailableError, VideoCache
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.observability.tracing import spans

_log = structlog.get_logger(__name__)

#: Longest wait of a writer in seconds.
ANNOUNCE_TIMEOUT = 2.0


class RedisChangeAnnouncer:
    """Implements gostream_shared.cache.ports.ChangeAnnouncer: first L1, then Redis, then the outbox."""

    def __init__(
        self,
        videos: VideoCache,
        outbox: Outbox,
        *,
        unannounced: Unannounced,
        locally: Callable[[UUID, int], None],
        mark: Callable[[UUID], Awaitable[None]] | None = None,
    ) -> None:
        """`mark` is called before other processes learn of the change; see TraceMarks."""
        self._videos = videos
        self._outbox = outbox
        self._unannounced = unannounced
        self._locally = locally
        self._mark = mark

    async def announce(self, video_id: UUID, version: int) -> None:
        self._unannounced.note(video_id, version)
        self._locally(video_id, version)
        try:
            with spans.span("announce", gostream__version=version):
                async with asyncio.timeout(ANNOUNCE_TIMEOUT):
                    if self._mark is not None:
                        await self._mark(video_id)
                    await self._videos.invalidate({video_id: version})
                    await self._outbox.settle(video_id, version)
        except (CacheUnavailableError, BackendUnavailableError, TimeoutError) as error:
            ANNOUNCE_FAILED.inc()
            _log.warning(
                "change left to the outbox relay", video_id=str(video_id), version=version, error=str(error)
            )
            return
        self._unannounced.forget(video_id, version)
