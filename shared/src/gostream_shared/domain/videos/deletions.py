"""Deleted videos: how long they can be undeleted, and when their objects are removed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from gostream_shared.domain.jobs import RemoveJob
from gostream_shared.domain.video import Video

#: Shortest time from a deletion to the removal of the objects, so that a running worker stops first.
REMOVE_DELAY = timedelta(minutes=1)
#: From the expiry of the last upload URL to the removals of late uploads. An upload that starts before the
#: expiry may end long after it.
_LATE_UPLOADS = (timedelta(minutes=1), timedelta(hours=24))


def removals(
    video_id: UUID, version: int, *, retention: timedelta | None, url_ttl: timedelta
) -> Iterator[tuple[RemoveJob, timedelta]]:
    """Yields the jobs that remove the objects of a deleted video, each with its delay.

    `version` is that of the tombstone. `url_ttl` is the longest validity of the video's upload URLs.
    """
    first = max(retention or timedelta(0), REMOVE_DELAY)
    yield RemoveJob(video_id=video_id, deletion=version), first
    for turn, late in enumerate(_LATE_UPLOADS, start=1):
        if url_ttl + late > first:
            yield RemoveJob(video_id=video_id, turn=turn, deletion=version), url_ttl + late


def expiry_delay(expires_at: datetime) -> timedelta:
    """Returns the time from now to the expiry of a video, for its ExpireJob; not negative."""
    return max(expires_at - datetime.now(UTC), timedelta(0))


class Deletions(Protocol):
    """Tombstones of videos in the database of record. Every method raises BackendUnavailableError."""

    async def undelete(
        self, video_id: UUID, *, version: int | None = None, owner: str | None = None
    ) -> Video:
        """Restore a deleted video. PROCESSING becomes CANCELLED; an expiry time that has passed is cleared.

        Raises VideoNotFoundError if the video never existed or its retention has ended, VideoNotDeletedError,
        ExternalIdInUseError, and EtagMismatchError if `version` is given and differs.
        """
        ...

    async def end_retention(self, video_id: UUID) -> timedelta | None:
        """Returns the rest of the time in which the video can be undeleted; None unless it is deleted.

        Zero means that it cannot be undeleted any more, so that its objects may be removed. A row that never
        existed counts as such a video.
        """
        ...

    async def delete_expired(self, *, retention: timedelta, limit: int) -> dict[UUID, int]:
        """Delete at most `limit` videos whose expiry time has passed, as VideoRepository.delete does.

        Returns the versions of the tombstones by video id.
        """
        ...

    async def expire(
        self, video_id: UUID, expires_at: datetime, *, retention: timedelta
    ) -> int | timedelta | None:
        """Delete one video if its expiry time is `expires_at` and has passed.

        Returns the version of the tombstone, the remaining time if it has not passed yet, and None if the
        video is deleted or has another expiry time.
        """
        ...
