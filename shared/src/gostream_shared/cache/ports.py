"""Ports to Redis pub/sub: writers announce changes, watchers receive them."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from gostream_shared.domain.encode import Encode, Progress


class ChangeAnnouncer(Protocol):
    """Announces a committed change of a video to every replica."""

    async def announce(self, video_id: UUID, version: int) -> None:
        """Invalidate versions below `version` in Redis and in every process, then settle the outbox.

        Never raises and has its own deadline. If Redis is down, the failure is logged and counted, and the
        outbox relay repeats the announcement.
        """
        ...


class ProgressPublisher(Protocol):
    """Publishes the progress of encodes. Best effort: the next message replaces a lost one."""

    async def publish(self, encode: Encode, progress: Progress) -> None:
        """Send the latest progress to every API replica. Never raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """The changes of a video since the previous update, merged into one."""

    version: int | None = None  # the highest announced version, if any
    progress: tuple[Encode, Progress] | None = None  # the latest progress, if any
    gap: bool = False  # messages may have been lost: read the database

    @property
    def is_empty(self) -> bool:
        """True if the wait timed out without a message."""
        return self == Update()


class Subscription(Protocol):
    """One watcher's view of one video."""

    async def wait(self, timeout: float) -> Update:
        """Wait for changes since the previous call. Returns an empty update after `timeout` seconds."""
        ...


class VideoEvents(Protocol):
    """Subscriptions to videos. The memory of a subscription is constant, also for a slow reader."""

    def subscribe(self, video_id: UUID) -> AbstractAsyncContextManager[Subscription]:
        """Subscribe to a video. If a message published after entering is lost, `gap` is set."""
        ...
