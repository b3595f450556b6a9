"""PostgreSQL's NOTIFY as a bell for the outbox relay; a lost connection only means that nobody rings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gostream_shared.cache.outbox.relay import Bell
from gostream_shared.concurrency import in_background
from gostream_shared.db.listen import keep_listening

CHANNEL = "gostream_outbox"


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

    # Rung on connecting too: for what was committed before we listened.
    listening = keep_listening(database_url, CHANNEL, heard=lambda _: rung.set(), connected=rung.set)
    async with in_background(listening):
        yield wait
