"""The outbox relay: every process tracks the unannounced versions, and one announces them."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Protocol
from uuid import UUID

import structlog

from gostream_shared.cache.metrics import RELAYED
from gostream_shared.cache.outbox.port import Outbox
from gostream_shared.cache.outbox.unannounced import MOST, Unannounced
from gostream_shared.cache.protocol import CacheUnavailableError, VideoCache
from gostream_shared.domain.errors import BackendUnavailableError

_log = structlog.get_logger(__name__)

#: Seconds after which the outbox is polled without a notification.
POLL_INTERVAL = 1.0
#: The same for a process that neither reads the cache nor is elected.
IDLE_INTERVAL = 10.0
#: Seconds after which a process announces versions that the elected one has left, for example because it is
#: frozen.
PATIENCE = POLL_INTERVAL
#: Seconds from a notification to the poll: writers announce their own versions, and bursts coalesce.
GRACE = 0.1
#: Largest number of rows per transaction.
BATCH = 500

#: Waits for a notification of the outbox, at most that many seconds.
NotifyListener = Callable[[float], Awaitable[None]]


class LocalEntries(Protocol):
    """The L1 entries of this process, as the relay sees them. Implemented by the Bus."""

    def changed(self, video_id: UUID, version: int) -> None:
        """Remove the entry if it is older than `version`."""
        ...

    def unannounced(self) -> None:
        """Remove all entries: the changed videos are unknown."""
        ...


class OutboxRelay:
    """Polls the outbox and repeats INVALIDATE for unsettled rows. Any number of relays may run at once.

    Every process that reads the cache polls, to know the versions that Redis may lack. Only the elected one
    announces them at once; the others announce what it leaves for PATIENCE. The election saves work and
    promises nothing.
    """

    def __init__(
        self,
        outbox: Outbox,
        videos: VideoCache,
        *,
        listener: NotifyListener,
        unannounced: Unannounced,
        local: LocalEntries,
        is_elected: Callable[[], bool] = lambda: True,
        reads: bool = True,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._outbox = outbox
        self._videos = videos
        self._listener = listener
        self._unannounced = unannounced
        self._local = local
        self._is_elected = is_elected
        self._reads = reads  # whether this process reads the cache
        self._clock = clock
        self._rests_until = float("-inf")
        self._waiting: dict[UUID | None, float] = {}  # since when a video has rows; None = too many videos

    async def run(self) -> None:
        """Relay until cancelled. While a backend is down, the rows stay in the outbox."""
        while True:
            try:
                while await self.relay_once():
                    pass
            except (BackendUnavailableError, CacheUnavailableError) as error:
                _log.warning("outbox waits", error=str(error))
                self._rests_until = self._clock() + POLL_INTERVAL
            await self._listener(POLL_INTERVAL if self._reads or self._is_elected() else IDLE_INTERVAL)
            await asyncio.sleep(GRACE)

    async def relay_once(self) -> bool:
        """Poll, then announce one batch, each video once. Returns True if more rows may exist."""
        if not await self._look() or self._clock() < self._rests_until:
            return False
        if not (self._is_elected() or self._is_left()):
            return False
        async with self._outbox.claim(BATCH) as changes:
            if changes:
                await self._videos.invalidate(dict(changes))
        RELAYED.inc(len(changes))
        return bool(changes)

    async def _look(self) -> bool:
        """Remove L1 entries of videos with unannounced versions. Returns True if such videos exist.

        Rows that another relay has claimed also count until they are settled.
        """
        asked = self._clock()
        unsettled = await self._outbox.unsettled(MOST)
        videos: list[UUID | None] = [None] if unsettled is None else list(unsettled)
        self._waiting = {video_id: self._waiting.get(video_id, asked) for video_id in videos}
        raised = self._unannounced.look(unsettled, asked=asked)
        if unsettled is None:
            self._local.unannounced()
        for video_id, version in raised.items():
            self._local.changed(video_id, version)
        return unsettled is None or bool(unsettled)

    def _is_left(self) -> bool:
        """Returns True if the elected relay has had the time to announce a version, and has not."""
        return any(self._clock() - since >= PATIENCE for since in self._waiting.values())
