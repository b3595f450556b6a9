"""Connects to the primary among the hosts of a database URL."""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

#: Seconds for one host. A host that was switched off answers nothing, and the next one must have its turn.
HOST_TIMEOUT = 2.0
_DEFAULT_PORT = "5432"
# Errors after which another host may be the primary. A wrong password, for example, is wrong everywhere.
_NEXT_HOST = (
    OSError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.ConnectionFailureError,
    asyncpg.AdminShutdownError,
    asyncpg.TargetServerAttributeNotMatched,
)


class StandbyError(asyncpg.InterfaceError):
    """The only host is a standby: it replays what a primary writes, so no write can succeed."""


class NoPrimaryError(asyncpg.InterfaceError):
    """No host of several is a primary, for example because a promotion has not ended yet."""


@dataclass(frozen=True, slots=True)
class _Host:
    """One host of a URL: `address` as the URL has it, and the URL with this host alone."""

    address: str
    url: str


class PrimaryHosts:
    """The hosts of a database URL, `postgresql://user:password@a,b/name`.

    The host of the last success is tried first. A search that its caller gives up continues at the next call.
    """

    def __init__(self, url: str) -> None:
        self._hosts = _split(url)
        self._next = 0

    @property
    def are_several(self) -> bool:
        return len(self._hosts) > 1

    async def connect(self, **options: Any) -> asyncpg.Connection:
        """Connect to the first host that answers and accepts writes.

        `options` are those of asyncpg.connect. Raises the driver's error, StandbyError if the only host is a
        standby, and NoPrimaryError if one of several is a standby and none is a primary.
        """
        if not self.are_several:
            return await _connect(self._hosts[0], **options)
        failures = dict[str, Exception]()
        for _ in self._hosts:
            host = self._hosts[self._next]
            try:
                async with asyncio.timeout(HOST_TIMEOUT):
                    connection = await _connect(host, **options)
            except (*_NEXT_HOST, StandbyError) as error:
                failures[host.address] = error
                self._next = (self._next + 1) % len(self._hosts)
            else:
                return connection
        raise _best(failures)


async def connect(url: str, **options: Any) -> asyncpg.Connection:
    """Connect to the primary once. Raises as PrimaryHosts.connect."""
    return await PrimaryHosts(url).connect(**options)


async def _connect(host: _Host, **options: Any) -> asyncpg.Connection:
    """Raises StandbyError and the driver's errors."""
    connection: asyncpg.Connection = await asyncpg.connect(host.url, **options)
    try:
        is_standby = await connection.fetchval("SELECT pg_catalog.pg_is_in_recovery()")
    except BaseException:
        connection.terminate()
        raise
    if is_standby:
        connection.terminate()
        raise StandbyError(
            f"{host.address} is a standby, which accepts no writes; name the primary, or all hosts: "
            "postgresql://user:password@a,b/name"
        )
    return connection


def _best(failures: dict[str, Exception]) -> Exception:
    """Returns one error for the failures by host."""
    if any(isinstance(error, StandbyError) for error in failures.values()):
        reasons = (
            f"{address} {'is a standby' if isinstance(error, StandbyError) else _short(error)}"
            for address, error in failures.items()
        )
        return NoPrimaryError(f"no host is a primary: {', '.join(reasons)}")
    return list(failures.values())[-1]


def _short(error: Exception) -> str:
    return f"does not answer ({type(error).__name__})"


def _split(url: str) -> list[_Host]:
    """Returns one host for each address of the URL."""
    parts = urlsplit(url)
    account, at, authority = parts.netloc.rpartition("@")
    addresses = authority.split(",")
    if len(addresses) == 1:
        return [_Host(authority or "localhost", url)]
    return [
        _Host(
            address or f"localhost:{_DEFAULT_PORT}", urlunsplit(parts._replace(netloc=account + at + address))
        )
        for address in addresses
    ]
