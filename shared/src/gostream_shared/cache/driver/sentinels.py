"""Connections to the primary that sentinels name. The pool and its deadlines are as with a fixed address."""

import asyncio
from collections.abc import Callable
from typing import Any

from redis.asyncio import Connection, Redis
from redis.exceptions import AuthenticationError, ConnectionError, RedisError, ResponseError

from gostream_shared.cache.driver.trust import TlsConnection

Address = tuple[str, int]

#: Seconds that one sentinel may take; then the next one is queried.
_PATIENCE = 0.25


def unanswered(question: str, latest: Exception) -> Exception:
    """Returns the error of a question that no server answered: a refused login, or their silence."""
    if isinstance(latest, (AuthenticationError, ResponseError)):
        return latest
    return ConnectionError(f"{question}: {latest or type(latest).__name__}")


class Sentinels:
    """Asks the sentinels of `service` which server is the primary, one after the other."""

    def __init__(
        self, addresses: tuple[Address, ...], service: str, client: Callable[[Address], Redis]
    ) -> None:
        self._addresses = list(addresses)  # the next to ask is the first
        self._service = service
        self._client = client

    async def primary(self) -> tuple[Address, Address]:
        """Returns the address of the primary, and of the sentinel that named it.

        Raises RedisError if no sentinel names one.
        """
        failure: Exception = ConnectionError("they do not know it")
        for sentinel in tuple(self._addresses):
            self.doubt(sentinel)  # until it has answered: the caller may give up before
            try:
                found = await self._ask(sentinel)
            except (RedisError, OSError) as error:
                failure = error
                continue
            if found:
                self._addresses.remove(sentinel)
                self._addresses.insert(0, sentinel)
                return found, sentinel
        raise unanswered(f"no sentinel names the primary of {self._service}", failure) from failure

    def doubt(self, sentinel: Address) -> None:
        """Ask this sentinel last: it is down, or named a server that is no primary."""
        self._addresses.remove(sentinel)
        self._addresses.append(sentinel)

    async def _ask(self, address: Address) -> Address | None:
        async with asyncio.timeout(_PATIENCE), self._client(address) as sentinel:
            command: Any = sentinel.execute_command
            found = await command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
        return (found[0].decode(), int(found[1])) if found else None


class FoundConnection(Connection):
    """A connection whose address is looked up at each attempt to connect."""

    def __init__(self, *, sentinels: Sentinels, **options: Any) -> None:
        super().__init__(**options)
        self._sentinels = sentinels
        self._named_by: Address | None = None

    async def _connect(self) -> None:
        (self.host, self.port), self._named_by = await self._sentinels.primary()
        try:
            await super()._connect()  # type: ignore[no-untyped-call]
        except OSError:
            self.doubt()
            raise

    def doubt(self) -> None:
        """The server is no primary, or cannot be reached."""
        if self._named_by is not None:
            self._sentinels.doubt(self._named_by)


class SentinelConnection(FoundConnection):
    """In plaintext."""


class SentinelTlsConnection(FoundConnection, TlsConnection):
    """By TLS. The certificate must have the name or the address that the sentinels give."""
