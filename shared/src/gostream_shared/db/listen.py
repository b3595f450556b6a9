"""Listens to PostgreSQL notifications over a separate connection that is re-established when lost."""

import asyncio
from collections.abc import Callable

import asyncpg
import structlog

_log = structlog.get_logger(__name__)

_CONNECT_TIMEOUT = 5.0
_RETRY = 1.0


async def keep_listening(
    database_url: str, channel: str, *, notified: Callable[[str], None], connected: Callable[[], None]
) -> None:
    """Call `notified` with the payload of every notification until cancelled. Reconnects after a loss.

    Calls `connected` after each LISTEN: earlier notifications are lost.
    """
    while True:
        try:
            await _listen(database_url, channel, notified, connected)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _log.warning("notifications lost", channel=channel, error=str(error) or type(error).__name__)
        await asyncio.sleep(_RETRY)


async def _listen(
    database_url: str, channel: str, notified: Callable[[str], None], connected: Callable[[], None]
) -> None:
    """Listen until the connection is lost."""
    lost = asyncio.Event()
    connection = await asyncpg.connect(database_url, timeout=_CONNECT_TIMEOUT)
    try:
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(channel, lambda *notification: notified(str(notification[-1])))
        connected()
        await lost.wait()
    finally:
        connection.terminate()
