"""The work that the API asks of the workers."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscodeJob:
    """Encode this video's source as encode `number`. Delivered at least once."""

    video_id: UUID
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveJob:
    """Remove objects nobody refers to any more.

    `number` = that one encode's objects; None = all of the video's, source included. With `published_attempt`
    only what other attempts have left of the encode. Jobs that differ in `turn` alone are queued separately,
    to remove what was written after the earlier one.
    """

    video_id: UUID
    number: int | None = None
    published_attempt: int | None = None
    turn: int = 0


Job = TranscodeJob | RemoveJob


class JobQueue(Protocol):
    """Where jobs are put: part of the transaction it was taken from."""

    async def enqueue(self, job: Job, *, delay: timedelta = timedelta(0)) -> None:
        """Put a job once: the same job waiting already is not put again. It runs `delay` after commit."""
        ...
