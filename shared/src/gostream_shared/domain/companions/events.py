"""The event log: what has happened to each video, in an order that no reader can miss a part of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

#: The types of events, as the triggers write them.
EVENT_TYPES = (
    "video.created",
    "video.uploaded",
    "video.processing",
    "video.playable",
    "video.ready",
    "video.failed",
    "video.cancelled",
    "video.updated",
    "video.deleted",
    "video.undeleted",
    "video.expired",
    "upload.expired",
    "track.ready",
    "track.failed",
)

#: Longest text of a type; a later release may have types that this one does not know.
MAX_TYPE = 64
MAX_SEQ = 2**63 - 1


@dataclass(frozen=True, slots=True, order=True)
class EventPosition:
    """A place in the log: the transaction that wrote an event, and the event's number.

    Events are settled below the oldest running transaction: no event appears before a settled one later.
    """

    xid: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that has happened to a video.

    `version` of the video after it. `user_id`: its owner then. `data` has `status`, and where they apply
    `previous_status`, `external_id`, and `error` with `code` and `message`.
    """

    position: EventPosition
    id: UUID
    type: str
    video_id: UUID
    version: int
    user_id: str
    created_at: datetime
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events a reader wants. None and empty = all. `since`: created then or later."""

    user_id: str | None = None
    types: frozenset[str] = frozenset()
    video_id: UUID | None = None
    since: datetime | None = None

    def admits(self, event: Event) -> bool:
        return (
            self.user_id in (None, event.user_id)
            and (not self.types or event.type in self.types)
            and self.video_id in (None, event.video_id)
            and (self.since is None or event.created_at >= self.since)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Settled events in their order. The next page begins after `end`.

    Without `has_more`, `end` is the end of the settled events. With `is_unsettled`, there are committed
    events that wait for an older transaction to end.
    """

    events: Sequence[Event]
    end: EventPosition
    has_more: bool
    is_unsettled: bool


class Events(Protocol):
    """The event log. Every method raises BackendUnavailableError."""

    async def read(self, which: EventFilter, *, after: EventPosition | None, limit: int) -> EventPage:
        """Returns at most `limit` events after a position; None = from the oldest one on.

        Raises ResumeTokenExpiredError if events after the position were deleted, or the database does not
        know it.
        """
        ...

    async def end(self) -> EventPosition:
        """Returns the end of the settled events."""
        ...

    async def delete_old(self, *, older_than: timedelta, limit: int) -> int:
        """Delete at most `limit` of the events that are older than this. Returns their number."""
        ...
