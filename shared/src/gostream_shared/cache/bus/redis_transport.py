"""The bus over Redis pub/sub. Subscriptions use a separate client and so a separate connection."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import aclosing, asynccontextmanager, suppress

from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from gostream_shared.cache.driver.client import HARD_TIMEOUT
from gostream_shared.cache.driver.servers import Call, Servers
from gostream_shared.cache.entries.redis_cache import SEQUENCE_KEY, load_script
from gostream_shared.cache.protocol import Beat, CacheUnavailableError, Subscribed
from gostream_shared.cache.redis_connection import RedisConnection

#: In the slot of the sequence, because one script uses both.
BEAT_KEY = f"gostream:bus:beat{{{SEQUENCE_KEY}}}"


class RedisBusTransport:
    """Implements gostream_shared.cache.protocol.BusTransport.

    The subscription is at the server that numbers the messages, so that it ends with that server. Heartbeats
    use the connection of the commands, so a received heartbeat proves that both connections reach the same
    server. An open breaker admits them, and their success closes it.
    """

    def __init__(
        self,
        connection: RedisConnection,
        subscriber: Servers,
        *,
        channel: str,
        others: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._connection = connection
        self._subscriber = subscriber
        self._channel = channel
        self._channels = (channel,)
        self._others = others  # the channels that are followed after each connection
        self._pubsub: PubSub | None = None  # once it is connected
        self._script = load_script("beat")

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncIterator[Subscribed | str]]:
        pubsub = None
        try:
            async with asyncio.timeout(HARD_TIMEOUT * 2):
                pubsub = (await self._subscriber.owner(SEQUENCE_KEY)).pubsub()
                await pubsub.subscribe(*self._channels)
                self._pubsub = pubsub
                if others := self._others():
                    await pubsub.subscribe(*others)
            async with aclosing(self._items(pubsub)) as items:
                yield items
        except (RedisError, OSError) as error:
            self._subscriber.doubt()
            raise CacheUnavailableError(f"Redis: {error or type(error).__name__}") from error
        finally:
            self._pubsub = None
            if pubsub is not None:
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def follow(self, channel: str, *, ends: bool = False) -> None:
        """Receive the messages of one more channel, or no longer. Never raises: `others` repeats it."""
        if self._pubsub is None:
            return
        with suppress(RedisError, OSError):
            async with asyncio.timeout(HARD_TIMEOUT):
                await (self._pubsub.unsubscribe if ends else self._pubsub.subscribe)(channel)

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
            arguments = [self._channel, nonce, server, round(interval * 1000)]
            call = Call(self._script, [SEQUENCE_KEY, BEAT_KEY], arguments)
            time = await self._connection.servers.at(SEQUENCE_KEY, call.run)
        return Beat(int(time) / 1000, server)
