"""The outbox relay, in every process: announces what a writer did not, knows what Redis has not heard."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Protocol
from uuid import UUID

import structlog

from gostream_shared.cache.metrics import RELAYED
from gostream_shared.cache.outbox.unannounced import MOST, Unannounced
from gostream_shared.cache.protocol import CacheUnavailableError, VideoCache
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.repositories import Outbox

_log = structlog.get_logger(__name__)

#: Seconds after which the outbox is looked at even if nobody rang.
POLL_INTERVAL = 1.0
#: Seconds between the bell and the look: writers announce by themselves, and storms coalesce.
GRACE = 0.1
#: Rows taken in one transaction.
BATCH = 500

#: Waits until the outbox may have news, at most that many seconds.
Bell = Callable[[float], Awaitable[None]]


class LocalEntries(Protocol):
    """What this process keeps of videos, as far as the relay is concerned: the Bus passes it on."""

    def changed(self, video_id: UUID, version: int) -> None:
        """Drop what is below `version`."""
        ...

    def unannounced(self) -> None:
        """Drop everything: which videos changed is not known."""
        ...


class OutboxRelay:
    """Looks at the outbox and repeats INVALIDATE for rows that nobody settled. Any number may run at once."""

    def __init__(
        self,
        outbox: Outbox,
        videos: VideoCache,
        *,
        bell: Bell,
        unannounced: Unannounced,
        local: LocalEntries,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._outbox = outbox
        self._videos = videos
        self._bell = bell
        self._unannounced = unannounced
        self._local = local
        self._clock = clock
        self._rests_until = float("-inf")

    async def run(self) -> None:
        """Relay until cancelled; while a backend is down the rows wait."""
        while True:
            try:
                while await self.relay_once():
                    pass
            except (BackendUnavailableError, CacheUnavailableError) as error:
                _log.warning("outbox waits", error=str(error))
                self._rests_until = self._clock() + POLL_INTERVAL
            await self._bell(POLL_INTERVAL)
            await asyncio.sleep(GRACE)

    async def relay_once(self) -> bool:
        """Look, then announce one batch, each video once; whether there may be more."""
        if not await self._look() or self._clock() < self._rests_until:
            return False
        async with self._outbox.claim(BATCH) as changes:
            if changes:
                await self._videos.invalidate(dict(changes))
        RELAYED.inc(len(changes))
        return bool(changes)

    async def _look(self) -> bool:
        """Drop what this process keeps of videos that are not announced; whether there are any.

        Rows that another relay has claimed count too, until they are settled.
        """
        asked = self._clock()
        unsettled = await self._outbox.unsettled(MOST)
        raised = self._unannounced.look(unsettled, asked=asked)
        if unsettled is None:
            self._local.unannounced()
        for video_id, version in raised.items():
            self._local.changed(video_id, version)
        return unsettled is None or bool(unsettled)
