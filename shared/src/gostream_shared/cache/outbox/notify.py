"""Wakes the outbox relay: by PostgreSQL's NOTIFY in the elected process, by the clock in the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gostream_shared.cache.outbox.port import SharedOutbox
from gostream_shared.concurrency import in_background
from gostream_shared.db.connecting.election import keep_standing

CHANNEL = "gostream_outbox"


class ElectedListener:
    """Implements NotifyListener. `is_elected` is True while this process is to relay."""

    def __init__(self) -> None:
        self.is_elected = False
        self._notified = asyncio.Event()

    async def __call__(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._notified.wait()
        except TimeoutError:
            return
        self._notified.clear()

    def notify(self) -> None:
        self._notified.set()

    def elect(self, is_elected: bool) -> None:
        self.is_elected = is_elected


@asynccontextmanager
async def listen_to_outbox(direct_url: str, outbox: SharedOutbox) -> AsyncIterator[ElectedListener]:
    """Yields a listener that stands for election until the block ends."""
    listener = ElectedListener()
    # Versions may have been committed before LISTEN, so an election also wakes the relay.
    standing = keep_standing(
        direct_url,
        lock=outbox.relay_lock,
        channel=CHANNEL,
        is_taken=outbox.has_relay,
        elected=listener.elect,
        notified=listener.notify,
    )
    async with in_background(standing):
        yield listener
