"""The table of changes that are committed and may not be announced yet, as its relay sees it."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID


class Outbox(Protocol):
    """Committed versions that may not be announced yet. A trigger inserts the rows."""

    def claim(self, limit: int) -> AbstractAsyncContextManager[Sequence[tuple[UUID, int]]]:
        """Lock up to `limit` rows and yield (video id, highest version) of each video.

        The rows are deleted at the end of the block, and released if the block raises.
        """
        ...

    async def unsettled(self, limit: int) -> Mapping[UUID, int] | None:
        """Returns the highest version of each video with rows, claimed or not; None for more than `limit`."""
        ...

    async def settle(self, video_id: UUID, version: int) -> None:
        """Delete the announced rows of the video, up to `version`."""
        ...


class SharedOutbox(Outbox, Protocol):
    """An outbox of many processes, one of which is elected to announce the rows."""

    @property
    def relay_lock(self) -> int:
        """The session lock of the elected process."""
        ...

    async def has_relay(self) -> bool:
        """Returns True if a process holds the lock. Raises BackendUnavailableError."""
        ...
