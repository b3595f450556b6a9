"""The outbox relay: whatever its writer did not announce is announced from here, in every process."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from gostream_shared.cache.metrics import RELAYED
from gostream_shared.cache.protocol import CacheUnavailableError, VideoCache
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.repository import Outbox

_log = structlog.get_logger(__name__)

#: Seconds after which the outbox is looked at even if nobody rang.
POLL_INTERVAL = 1.0
#: Seconds between the bell and the look: writers announce by themselves, and storms coalesce.
GRACE = 0.1
#: Rows taken in one transaction.
BATCH = 500

#: Waits until the outbox may have news, at most that many seconds.
Bell = Callable[[float], Awaitable[None]]


class OutboxRelay:
    """Repeats INVALIDATE for rows that nobody settled. Any number may run at once."""

    def __init__(self, outbox: Outbox, videos: VideoCache, *, bell: Bell) -> None:
        self._outbox = outbox
        self._videos = videos
        self._bell = bell

    async def run(self) -> None:
        """Relay until cancelled; while a backend is down the rows wait."""
        while True:
            try:
                while await self.relay_once():
                    pass
            except (BackendUnavailableError, CacheUnavailableError) as error:
                _log.warning("outbox waits", error=str(error))
                await asyncio.sleep(POLL_INTERVAL)
            await self._bell(POLL_INTERVAL)
            await asyncio.sleep(GRACE)

    async def relay_once(self) -> bool:
        """Announce one batch, each video once; whether there may be more."""
        async with self._outbox.claim(BATCH) as changes:
            if changes:
                await self._videos.invalidate(dict(changes))
        RELAYED.inc(len(changes))
        return bool(changes)
