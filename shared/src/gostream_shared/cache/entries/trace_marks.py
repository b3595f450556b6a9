"""Marks of sampled changes in Redis: the first read of a changed video links to the trace of the change.

Outside the cache protocol: nothing depends on a mark, and a lost one costs a link. Without traces there is
none.
"""

from uuid import UUID

from gostream_shared.cache.driver.client import SOFT_TIMEOUT
from gostream_shared.cache.protocol import CacheUnavailableError
from gostream_shared.cache.redis_connection import RedisConnection
from gostream_shared.observability.tracing import spans

#: Seconds that a mark waits for a read.
_LIFETIME = 60


class TraceMarks:
    """Leaves and takes marks. Never raises."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def leave(self, video_id: UUID) -> None:
        """Leave the current span as the mark of a change, if the span is sampled."""
        if not (traceparent := spans.traceparent()):
            return
        key = _key(video_id)
        try:
            async with self._connection.guarded("mark", SOFT_TIMEOUT):
                await self._connection.servers.at(
                    key, lambda client: client.set(key, traceparent, ex=_LIFETIME)
                )
        except CacheUnavailableError:
            return

    async def take(self, video_id: UUID) -> None:
        """Link the current span to the latest change, if both are sampled and this is the first read."""
        if not spans.traceparent():
            return
        key = _key(video_id)
        try:
            async with self._connection.guarded("mark", SOFT_TIMEOUT):
                found = await self._connection.servers.at(key, lambda client: client.getdel(key))
        except CacheUnavailableError:
            return
        if found:
            spans.link(found.decode("latin-1") if isinstance(found, bytes) else found)


def _key(video_id: UUID) -> str:
    return f"gostream:trace:{video_id}"
