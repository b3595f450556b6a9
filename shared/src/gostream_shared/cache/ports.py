"""What the services need of Redis's pub/sub: writers tell everyone what changed, watchers hear of it."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from gostream_shared.domain.encode import Encode, Progress


class ChangeAnnouncer(Protocol):
    """Tells every replica that a video changed, after the change was committed."""

    async def announce(self, video_id: UUID, version: int) -> None:
        """Invalidate everything below `version` in Redis and in every process, then settle the outbox.

        Never raises and never waits longer than its own deadline: when Redis is down it is logged and
        counted, and the outbox relay repeats it.
        """
        ...


class ProgressPublisher(Protocol):
    """Tells watchers how an encode is going. Best effort: a lost message is replaced by the next."""

    async def publish(self, encode: Encode, progress: Progress) -> None:
        """Send the latest progress to every API replica. Never raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What happened to a video since the last look, conflated."""

    version: int | None = None  # the highest version announced, if any was
    progress: tuple[Encode, Progress] | None = None  # the latest, if any came
    gap: bool = False  # messages may have been lost: read the database

    @property
    def is_empty(self) -> bool:
        """Nothing happened: the wait timed out."""
        return self == Update()


class Subscription(Protocol):
    """One watcher's view of one video."""

    async def wait(self, timeout: float) -> Update:
        """What happened since the last call, as soon as something did; empty after `timeout` seconds."""
        ...


class VideoEvents(Protocol):
    """Where watchers subscribe. Memory per subscription is constant however slow its reader is."""

    def subscribe(self, video_id: UUID) -> AbstractAsyncContextManager[Subscription]:
        """Nothing published after entering is missed without `gap` being set."""
        ...
