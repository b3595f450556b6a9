"""Listens to PostgreSQL notifications over connections that no pool and no pooler has."""

import asyncio
from collections.abc import Callable
from typing import Any, Self

import asyncpg
import structlog

from gostream_shared.db.connecting.hosts import connect

_log = structlog.get_logger(__name__)

_CONNECT_TIMEOUT = 5.0
_RETRY = 1.0
#: Seconds between two questions to a silent server, and seconds for its answer: a host that was switched off
#: closes no connection.
_PROBE_INTERVAL = 5.0
_PROBE_TIMEOUT = 5.0


async def keep_listening(
    database_url: str, channel: str, *, notified: Callable[[str], None], connected: Callable[[], None]
) -> None:
    """Call `notified` with the payload of every notification until cancelled. Reconnects after a loss.

    Calls `connected` after each LISTEN: earlier notifications are lost.
    """
    while True:
        try:
            await _listen(database_url, channel, notified, connected)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            _log.warning("notifications lost", channel=channel, error=str(error) or type(error).__name__)
        await asyncio.sleep(_RETRY)


async def _listen(
    database_url: str, channel: str, notified: Callable[[str], None], connected: Callable[[], None]
) -> None:
    """Listen until the connection is lost."""
    connection = await connect(database_url, timeout=_CONNECT_TIMEOUT)
    try:
        await connection.add_listener(channel, lambda *notification: notified(str(notification[-1])))
        connected()
        await until_lost(connection)
    finally:
        connection.terminate()


async def until_lost(connection: asyncpg.Connection) -> None:
    """Wait until the server closes the connection or does not answer. Raises the driver's error."""
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    while not (lost.is_set() or connection.is_closed()):
        try:
            async with asyncio.timeout(_PROBE_INTERVAL):
                await lost.wait()
        except TimeoutError:
            await connection.execute("SELECT 1", timeout=_PROBE_TIMEOUT)


class SharedListener:
    """One connection that listens for several parts of a process. The parts notice its loss by themselves.

    `async with SharedListener(url) as listener`. The connection is opened by the first `add`, and again by
    the first one after a loss.
    """

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.terminate()

    async def add(self, channel: str, callback: Callable[..., Any]) -> None:
        """Call `callback` as asyncpg's add_listener does. Raises the driver's error."""
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                self._connection = await connect(self._url, timeout=_CONNECT_TIMEOUT)
            async with asyncio.timeout(_PROBE_TIMEOUT):
                await self._connection.add_listener(channel, callback)

    async def remove(self, channel: str, callback: Callable[..., Any]) -> None:
        """Undo `add`. A connection that does not answer is closed, and with it all that it listens to."""
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                return
            try:
                async with asyncio.timeout(_PROBE_TIMEOUT):
                    await self._connection.remove_listener(channel, callback)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                self._connection.terminate()
