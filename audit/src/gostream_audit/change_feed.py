"""The committed versions, as notified by the database, so that the audit does not depend on the cache."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from gostream_audit.metrics import SKIPPED
from gostream_shared.db.listen import keep_listening

CHANNEL = "gostream_changes"
_BACKLOG = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """A committed version, and the time of its notification (monotonic clock)."""

    video_id: UUID
    version: int
    notified_at: float


@asynccontextmanager
async def change_feed(database_url: str) -> AsyncIterator[asyncio.Queue[Change]]:
    """Yields a queue of changes from now on, in commit order. A lost connection loses changes.

    Raises TimeoutError if the database does not answer in 10 s.
    """
    changes = asyncio.Queue[Change](_BACKLOG)
    connected = asyncio.Event()

    def receive(payload: str) -> None:
        video_id, version = payload.split("|")
        try:
            changes.put_nowait(Change(UUID(video_id), int(version), monotonic()))
        except asyncio.QueueFull:
            SKIPPED.inc()

    listening = asyncio.create_task(
        keep_listening(database_url, CHANNEL, notified=receive, connected=connected.set), name="change-feed"
    )
    try:
        async with asyncio.timeout(10):
            await connected.wait()
        yield changes
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
