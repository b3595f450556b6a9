"""The bus over Redis pub/sub. Subscriptions use a separate client and so a separate connection."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from gostream_shared.cache.entries.redis_cache import SEQUENCE_KEY, load_script
from gostream_shared.cache.protocol import Beat, CacheUnavailableError, Subscribed
from gostream_shared.cache.redis_connection import HARD_TIMEOUT, RedisConnection

BEAT_KEY = "gostream:bus:beat"


class RedisBusTransport:
    """Implements gostream_shared.cache.protocol.BusTransport.

    Heartbeats use the connection of the commands, so a received heartbeat proves that both connections reach
    the same server. An open breaker admits them, and their success closes it.
    """

    def __init__(
        self, connection: RedisConnection, subscriber: Redis, *, channel: str, others: tuple[str, ...]
    ) -> None:
        self._connection = connection
        self._subscriber = subscriber
        self._channel = channel
        self._channels = (channel, *others)
        self._script = load_script(connection, "beat")

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncIterator[Subscribed | str]]:
        pubsub = self._subscriber.pubsub()
        try:
            async with asyncio.timeout(HARD_TIMEOUT * 2):
                await pubsub.subscribe(*self._channels)
            async with aclosing(self._items(pubsub)) as items:
                yield items
        except (RedisError, OSError) as error:
            raise CacheUnavailableError(f"Redis: {error or type(error).__name__}") from error
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _items(self, pubsub: PubSub) -> AsyncGenerator[Subscribed | str, None]:
        """Yield acknowledgements and messages. A silent reconnection of the driver is acknowledged again."""
        while True:
            message = await pubsub.get_message(timeout=None)
            if message is None:
                continue
            if message["type"] == "message":
                yield message["data"].decode(errors="replace")
            elif message["type"] == "subscribe" and message["channel"] == self._channel.encode():
                yield Subscribed()

    async def beat(self, nonce: str, *, interval: float) -> Beat:
        server = await self._connection.server()
        async with self._connection.guarded("beat", HARD_TIMEOUT, probe=True):
            keys = [SEQUENCE_KEY, BEAT_KEY]
            time = await self._script(keys, [self._channel, nonce, server, round(interval * 1000)])
        return Beat(int(time) / 1000, server)
