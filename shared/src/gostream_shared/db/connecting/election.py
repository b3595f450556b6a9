"""Elects one process of many by an advisory lock. The elected one listens to notifications."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from gostream_shared.db.connecting.hosts import connect
from gostream_shared.db.listen import until_lost
from gostream_shared.domain.errors import BackendUnavailableError

_log = structlog.stdlib.get_logger("gostream.election")

#: Seconds between two looks whether no one is elected, on average.
INTERVAL = 2.0
_CONNECT_TIMEOUT = 5.0


async def keep_standing(
    direct_url: str,
    *,
    lock: int,
    channel: str,
    is_taken: Callable[[], Awaitable[bool]],
    elected: Callable[[bool], None],
    notified: Callable[[], None],
) -> None:
    """Try to become the elected process until cancelled, again after each loss of the connection.

    The lock and LISTEN `channel` belong to one connection, which only the elected process keeps open, so the
    server ends both at once. `elected` is called with each change, `notified` for each notification and at
    the begin. `is_taken` asks over another connection and costs less than a new one. Two processes may both
    believe to be elected until a lost connection is noticed.
    """
    while True:
        try:
            if not await is_taken():
                await _hold(direct_url, lock, channel, elected, notified)
        except BackendUnavailableError:
            pass  # the cause is in the log
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            _log.warning("election failed", channel=channel, error=str(error) or type(error).__name__)
        await asyncio.sleep(INTERVAL * random.uniform(0.5, 1.5))  # noqa: S311 - spreads the processes


async def _hold(
    direct_url: str,
    lock: int,
    channel: str,
    elected: Callable[[bool], None],
    notified: Callable[[], None],
) -> None:
    """Hold the lock until the connection is lost. Returns at once if another process has it."""
    connection = await connect(direct_url, timeout=_CONNECT_TIMEOUT)
    try:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock, timeout=_CONNECT_TIMEOUT):
            return
        await connection.add_listener(channel, lambda *_: notified())
        elected(True)
        notified()
        await until_lost(connection)
    finally:
        elected(False)
        connection.terminate()
