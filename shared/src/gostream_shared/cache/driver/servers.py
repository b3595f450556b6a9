"""The servers behind one Redis: where a command of a key goes."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import Any, Protocol, TypeVar

from redis.asyncio import Redis
from redis.exceptions import ConnectionError, NoScriptError

from gostream_shared.cache.driver.client import SECTIONS, server_identity

Result = TypeVar("Result")


class Script:
    """A Lua script. Servers run it by its hash, and get its text if they do not know it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a script with keys of one slot."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[Any]

    async def run(self, client: Redis) -> Any:
        """Returns the reply of the server."""
        try:
            return await self._run(client)
        except NoScriptError:
            await client.script_load(self.script.text)
            return await self._run(client)

    async def _run(self, client: Redis) -> Any:
        return await client.evalsha(self.script.sha, len(self.keys), *self.keys, *self.arguments)


async def run_all(client: Redis, calls: Sequence[Call]) -> list[Any]:
    """Returns the replies to the calls in their order, with errors in their place. One round trip."""
    replies = await _pipeline(client, calls)
    if any(isinstance(reply, NoScriptError) for reply in replies):
        for script in {each.script for each in calls}:
            await client.script_load(script.text)
        replies = await _pipeline(client, calls)
    return replies


async def _pipeline(client: Redis, calls: Sequence[Call]) -> list[Any]:
    async with client.pipeline(transaction=False) as pipeline:
        for call in calls:
            pipeline.evalsha(call.script.sha, len(call.keys), *call.keys, *call.arguments)
        return list(await pipeline.execute(raise_on_error=False))


class Servers(Protocol):
    """The primaries that commands go to. Methods raise RedisError and OSError, and set no deadline."""

    def together(self, keys: Sequence[str]) -> Sequence[Sequence[int]]:
        """Returns groups of positions of `keys` that one command may name together."""
        ...

    async def owner(self, key: str) -> Redis:
        """Returns the client of the server that has the key."""
        ...

    async def at(self, key: str, send: Callable[[Redis], Awaitable[Result]]) -> Result:
        """Returns what `send` returns for the server that has the key.

        `send` is repeated if a server that does not have the key refused its command.
        """
        ...

    async def run_all(self, calls: Sequence[Call]) -> list[Any]:
        """Returns the replies to the calls, one round trip per server. Raises the first error."""
        ...

    async def run_in_order(self, first: Sequence[Call], then: Sequence[Call]) -> None:
        """Run all the calls of `first`, and those of `then` afterwards. Raises the first error."""
        ...

    async def identity(self) -> str:
        """Returns the identities of all primaries, joined by commas. Raises ConnectionError for a replica."""
        ...

    def doubt(self) -> None:
        """A server did not answer: the next command asks again where the servers are."""
        ...

    async def forget(self) -> None:
        """Closes every connection, and doubts."""
        ...

    async def __aenter__(self) -> "Servers": ...

    async def __aexit__(self, *_: object) -> None: ...


class OneServer:
    """Implements Servers for one primary."""

    def __init__(self, client: Redis) -> None:
        self.client = client

    def together(self, keys: Sequence[str]) -> Sequence[Sequence[int]]:
        return [range(len(keys))]

    async def owner(self, key: str) -> Redis:
        return self.client

    async def at(self, key: str, send: Callable[[Redis], Awaitable[Result]]) -> Result:
        return await send(self.client)

    async def run_all(self, calls: Sequence[Call]) -> list[Any]:
        replies = await run_all(self.client, calls)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def run_in_order(self, first: Sequence[Call], then: Sequence[Call]) -> None:
        await self.run_all([*first, *then])  # one connection keeps the order

    async def identity(self) -> str:
        info = await self.client.info(*SECTIONS)
        try:
            return server_identity(info)
        except ConnectionError:
            await self.client.connection_pool.disconnect(inuse_connections=False)
            raise

    def doubt(self) -> None:
        pass  # each new connection asks the sentinels, or has a fixed address

    async def forget(self) -> None:
        await self.client.connection_pool.disconnect()

    async def __aenter__(self) -> "OneServer":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
