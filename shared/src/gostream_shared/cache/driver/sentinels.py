"""Connections to the primary that sentinels name. The pool and its deadlines are as with a fixed address."""

import asyncio
from collections.abc import Callable
from typing import Any

from redis.asyncio import Connection, Redis
from redis.exceptions import ConnectionError, RedisError

from gostream_shared.cache.driver.trust import TlsConnection

Address = tuple[str, int]

#: Seconds that one sentinel may take; then the next one is asked.
_PATIENCE = 0.25


class Sentinels:
    """Asks the sentinels of `service` which server is the primary, one after the other."""

    def __init__(
        self, addresses: tuple[Address, ...], service: str, client: Callable[[Address], Redis]
    ) -> None:
        self._addresses = list(addresses)  # the next to ask is the first
        self._service = service
        self._client = client

    async def primary(self) -> Address:
        """Returns the address of the primary. Raises ConnectionError if no sentinel names one."""
        for _ in range(len(self._addresses)):
            if found := await self._ask(self._addresses[0]):
                return found
            self.doubt()
        raise ConnectionError(f"no sentinel names the primary of {self._service}")

    def doubt(self) -> None:
        """Ask another sentinel first: this one is down, or named a server that is no primary."""
        self._addresses.append(self._addresses.pop(0))

    async def _ask(self, address: Address) -> Address | None:
        try:
            async with asyncio.timeout(_PATIENCE), self._client(address) as sentinel:
                command: Any = sentinel.execute_command
                found = await command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
        except (RedisError, OSError):
            return None
        return (found[0].decode(), int(found[1])) if found else None


class _Found(Connection):
    """A connection whose address is asked for at each attempt to connect."""

    def __init__(self, *, sentinels: Sentinels, **options: Any) -> None:
        super().__init__(**options)
        self._sentinels = sentinels

    async def _connect(self) -> None:
        self.host, self.port = await self._sentinels.primary()
        try:
            await super()._connect()  # type: ignore[no-untyped-call]
        except OSError:
            self._sentinels.doubt()
            raise


class SentinelConnection(_Found):
    """In plaintext."""


class SentinelTlsConnection(_Found, TlsConnection):
    """By TLS. The certificate must have the name or the address that the sentinels give."""
