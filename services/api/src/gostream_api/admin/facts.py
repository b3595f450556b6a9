"""The facts of one video that a verdict is made of."""

import enum
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gostream_shared.domain.companions.explanations import VideoRecord
from gostream_shared.domain.uploads import UploadSession


class Presence(enum.StrEnum):
    """Whether the object store has an object."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"  # the store did not answer


@dataclass(frozen=True, slots=True)
class Seen:
    """The facts about an object of the object store. Sizes in bytes. `etag`: without quotation marks."""

    presence: Presence
    size: int = 0
    etag: str = ""


class EdgeAnswer(enum.StrEnum):
    """The answer of the edge about the master playlist."""

    SAME = "same"  # as in the object store
    OTHER = "other"  # a playlist that differs from the one in the object store
    NO_PLAYLIST = "no playlist"  # something else, so it is another server
    REFUSED = "refused"  # 4xx
    BROKEN = "broken"  # 5xx
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Edge:
    """The answer of the edge. `status`: of HTTP; 0 without an answer. `url`: what was asked."""

    answer: EdgeAnswer
    url: str
    status: int = 0


@dataclass(frozen=True, slots=True)
class Upload:
    """The session of an upload in parts. `stored`: parts in the store; None if the store did not answer."""

    session: UploadSession
    stored: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that was found out about one video. None: not asked, because it does not matter here."""

    video_id: UUID
    #: By the clock of this API.
    now: datetime
    #: None: the database did not answer.
    record: VideoRecord | None
    upload: Upload | None = None
    source: Seen | None = None
    master: Seen | None = None
    gate: Seen | None = None
    edge: Edge | None = None
    #: The version that clients of this API get; None if no read succeeded.
    served_version: int | None = None
    #: Whether the invalidation bus of this API is live, so that Redis answers.
    has_bus: bool = True

    @property
    def is_fetching(self) -> bool:
        """True if a worker has yet to fetch the source from its URL."""
        remote = self.record.remote if self.record else None
        return remote is not None and not remote.key and not remote.is_fetched

    @property
    def clock_offset(self) -> float:
        """Seconds that the clock of this API is ahead of the database's."""
        return (self.now - self.record.now).total_seconds() if self.record else 0.0
