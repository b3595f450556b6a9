"""Makes the gates of videos in the object store equal to their rows.

An edge serves a video only while the gate of the request exists: `gate/{id}/public` for everybody,
`gate/{id}/{epoch}` for signed URLs of that epoch. The row decides; the gates follow it.
"""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import structlog
from prometheus_client import Histogram

from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.object_keys import gate_key, gate_prefix
from gostream_shared.domain.playback import GateChanges, GateHold
from gostream_shared.domain.video import Video
from gostream_shared.storage.port import ObjectStore

LAG = Histogram(
    "gostream_gate_lag_seconds",
    "Seconds from the change of a video to the change of its gate in the object store.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300),
)
#: Seconds for the requests to the store. A process that was frozen longer must not send them.
SYNC_TIMEOUT = 8.0
#: Seconds that a writer waits, and how many may wait at once. Workers change the gates of the others.
_PROMPT_TIMEOUT = 2.0
_PROMPT_AT_ONCE = 2

_log = structlog.stdlib.get_logger("gostream.gates")


async def open_gate(store: ObjectStore, video: Video) -> None:
    """Write the gate that the video needs, if any; before the commit, so that it is open when clients see it.

    Raises BackendUnavailableError.
    """
    if video.gate:
        await store.put(gate_key(video.id, video.gate), b"", content_type="text/plain")


class Gates:
    """Changes gates. Any number of processes may do so at once."""

    def __init__(self, changes: GateChanges, store: ObjectStore) -> None:
        self._changes = changes
        self._store = store
        self._prompt = asyncio.Semaphore(_PROMPT_AT_ONCE)

    async def sync_promptly(self, video_id: UUID) -> None:
        """Change the gates after a commit. Best effort: never raises, because a worker does what is left."""
        if self._prompt.locked():
            return
        try:
            async with self._prompt, asyncio.timeout(_PROMPT_TIMEOUT):
                await self.sync(video_id)
        except (BackendUnavailableError, TimeoutError) as error:
            _log.warning("gates not changed yet", video_id=str(video_id), error=str(error) or "timeout")

    async def sync(self, video_id: UUID) -> None:
        """Change the gates, unless another process is changing them. Raises BackendUnavailableError."""
        async with self._changes.hold(video_id) as hold:
            if hold is None:
                return
            try:
                async with asyncio.timeout(SYNC_TIMEOUT):
                    changed = await self._follow(video_id, hold)
            except TimeoutError:
                raise BackendUnavailableError("object store") from None
        if changed:
            _log.info("gates changed", video_id=str(video_id), gate=hold.gate or "none")
            if hold.changed_at is not None:
                LAG.observe((datetime.now(UTC) - hold.changed_at).total_seconds())

    async def _follow(self, video_id: UUID, hold: GateHold) -> bool:
        """Returns whether a gate was written or removed."""
        wanted = {gate_key(video_id, hold.gate)} if hold.gate else set[str]()
        found = {found.key async for found in self._store.list(gate_prefix(video_id))}
        if extra := sorted(found - wanted):
            await self._store.delete(extra)
        for key in wanted - found:
            await self._store.put(key, b"", content_type="text/plain")
        return found != wanted
