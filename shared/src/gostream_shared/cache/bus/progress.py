"""Progress of encodes over pub/sub: best effort, without sequence numbers, on a channel for each video."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import structlog
from pydantic import TypeAdapter, ValidationError

from gostream_shared.cache.driver.client import HARD_TIMEOUT
from gostream_shared.cache.protocol import CacheUnavailableError
from gostream_shared.cache.redis_connection import RedisConnection
from gostream_shared.domain.encode import Encode, Progress

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _News:
    encode: Encode
    progress: Progress


_news = TypeAdapter(_News)


def progress_channel(database: int, video_id: UUID) -> str:
    """Returns the channel of a video, to which only the processes listen in which somebody watches it.

    It contains the number of the database, because the databases of one Redis share all channels.
    """
    return f"gostream:{database}:progress:{video_id}"


class RedisProgressPublisher:
    """Implements gostream_shared.cache.ports.ProgressPublisher."""

    def __init__(self, connection: RedisConnection, *, database: int) -> None:
        self._connection = connection
        self._database = database

    async def publish(self, encode: Encode, progress: Progress) -> None:
        message = _news.dump_json(_News(encode, progress))
        channel = progress_channel(self._database, encode.video_id)
        try:
            async with self._connection.guarded("progress", HARD_TIMEOUT):
                await self._connection.servers.at(channel, lambda client: client.publish(channel, message))
        except CacheUnavailableError as error:
            _log.debug("progress not published", video_id=str(encode.video_id), error=str(error))


def progress_inbox(tell: Callable[[Encode, Progress], None]) -> Callable[[str], None]:
    """Returns a receiver that decodes published progress and ignores other messages."""

    def receive(text: str) -> None:
        try:
            news = _news.validate_json(text)
        except ValidationError:
            return
        tell(news.encode, news.progress)

    return receive
