"""Wakes the outbox relay by PostgreSQL's NOTIFY. While the connection is lost, the relay polls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gostream_shared.cache.outbox.relay import NotifyListener
from gostream_shared.concurrency import in_background
from gostream_shared.db.listen import keep_listening

CHANNEL = "gostream_outbox"


@asynccontextmanager
async def listen_to_outbox(database_url: str) -> AsyncIterator[NotifyListener]:
    """Yields a listener with a separate connection, which is re-established when lost."""
    notified = asyncio.Event()

    async def wait(timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await notified.wait()
        except TimeoutError:
            return
        notified.clear()

    # A new connection also wakes the relay: versions may have been committed before LISTEN.
    listening = keep_listening(
        database_url, CHANNEL, notified=lambda _: notified.set(), connected=notified.set
    )
    async with in_background(listening):
        yield wait
