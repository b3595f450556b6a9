"""The quotas of owners, and their usage."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

#: The number of the source among the stored bytes of a video; encodes begin at 1.
SOURCE = 0


class Quota(enum.StrEnum):
    """A quantity that is limited for each owner."""

    VIDEOS = "videos"
    STORED_BYTES = "stored_bytes"  # sources and published encodes, until their objects are removed
    ENCODES = "encodes"  # waiting or running


@dataclass(frozen=True, slots=True)
class Usage:
    """What an owner uses, and the limits that were set for this owner alone. A limit of 0 is none."""

    used: Mapping[Quota, int]
    limits: Mapping[Quota, int]


class Usages(Protocol):
    """The usage of owners. Triggers count every write of the tables, by any writer.

    The videos of the owner "" are not counted. Every method raises BackendUnavailableError.
    """

    async def locked(self, owner: str) -> Usage:
        """Returns the usage with the writes of this transaction.

        Further writes of the owner wait until the end of the transaction.
        """
        ...

    async def next_turn(self, owner: str) -> int:
        """Returns the turn of the owner's next encode or chunk. They run in the order of their turns.

        The turns of one owner increase, and begin at the first turn that waits. Further calls for this owner
        wait until the end of the transaction.
        """
        ...

    async def note_stored(self, video_id: UUID, number: int, size: int) -> None:
        """Record the bytes of an encode, or of the SOURCE, of an existing video."""
        ...

    async def forget_stored(self, video_id: UUID, number: int | None = None) -> None:
        """Record that the objects of an encode are removed; without `number`, all objects of the video."""
        ...
