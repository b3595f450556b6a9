"""Progress of encodes over pub/sub: best effort, unsequenced, on a channel of its own."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from pydantic import TypeAdapter, ValidationError

from gostream_shared.cache.protocol import CacheUnavailableError
from gostream_shared.cache.redis_connection import HARD_TIMEOUT, RedisLink
from gostream_shared.domain.encode import Encode, Progress

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _News:
    encode: Encode
    progress: Progress


_news = TypeAdapter(_News)


def progress_channel(database: int) -> str:
    """As for changes: channels are shared between Redis's numbered databases."""
    return f"gostream:{database}:progress"


class RedisProgressPublisher:
    """Implements gostream_shared.cache.ports.ProgressPublisher."""

    def __init__(self, link: RedisLink, *, channel: str) -> None:
        self._link = link
        self._channel = channel

    async def publish(self, encode: Encode, progress: Progress) -> None:
        try:
            async with self._link.guarded("progress", HARD_TIMEOUT):
                await self._link.client.publish(self._channel, _news.dump_json(_News(encode, progress)))
        except CacheUnavailableError as error:
            _log.debug("progress not published", video_id=str(encode.video_id), error=str(error))


def progress_inbox(tell: Callable[[Encode, Progress], None]) -> Callable[[str], None]:
    """Read what `publish` sent; anything else is ignored."""

    def receive(text: str) -> None:
        try:
            news = _news.validate_json(text)
        except ValidationError:
            return
        tell(news.encode, news.progress)

    return receive
