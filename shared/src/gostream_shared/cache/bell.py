"""PostgreSQL's NOTIFY as a bell for the outbox relay; a lost connection only means that nobody rings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import structlog

from gostream_shared.cache.background import in_background
from gostream_shared.cache.relay import Bell

_log = structlog.get_logger(__name__)

CHANNEL = "gostream_outbox"
_CONNECT_TIMEOUT = 5.0
_RETRY = 1.0


@asynccontextmanager
async def outbox_bell(database_url: str) -> AsyncIterator[Bell]:
    """A bell on a connection of its own, made anew whenever it is lost."""
    rung = asyncio.Event()

    async def wait(timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await rung.wait()
        except TimeoutError:
            return
        rung.clear()

    async with in_background(_keep_listening(database_url, rung)):
        yield wait


async def _keep_listening(database_url: str, rung: asyncio.Event) -> None:
    while True:
        try:
            await _listen(database_url, rung)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _log.warning("outbox bell lost", error=str(error) or type(error).__name__)
        await asyncio.sleep(_RETRY)


async def _listen(database_url: str, rung: asyncio.Event) -> None:
    """Ring for every notification until the connection is lost."""
    lost = asyncio.Event()
    connection = await asyncpg.connect(database_url, timeout=_CONNECT_TIMEOUT)
    try:
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(CHANNEL, lambda *_: rung.set())
        rung.set()  # what was committed before we listened
        await lost.wait()
    finally:
        connection.terminate()
