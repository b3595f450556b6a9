"""Who may play a video at the edge."""

import enum
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID


class PlaybackPolicy(enum.StrEnum):
    """Who may play a video. The names are those of the API's enum without the prefix."""

    PUBLIC = "PUBLIC"  # everybody who has the URL
    SIGNED = "SIGNED"  # everybody who has an unexpired signed URL of the current epoch
    OFF = "OFF"  # no one


#: The epoch of a new video.
FIRST_EPOCH = 1
#: The gate of videos that everybody may play. The gate of signed URLs is their epoch.
PUBLIC_GATE = "public"


@dataclass(frozen=True, slots=True)
class GateHold:
    """The right to change the gates of a video. `gate` is the one that must exist, according to the row.

    `changed_at` is the time of the oldest change that is due; None if there is none.
    """

    gate: str | None
    changed_at: datetime | None


class GateChanges(Protocol):
    """Videos whose gates may differ from their row. A trigger inserts the rows of the changes."""

    async def due(self, limit: int) -> Sequence[UUID]:
        """Returns videos with changes that are due, the oldest first."""
        ...

    async def count_due(self, *, at_most: int) -> int:
        """Returns the number of changes that are due, counted up to `at_most`."""
        ...

    def hold(self, video_id: UUID) -> AbstractAsyncContextManager[GateHold | None]:
        """Yield the hold, or None while another process has it.

        The changes that `gate` includes are deleted at the end of the block, and kept if the block raises.
        """
        ...
