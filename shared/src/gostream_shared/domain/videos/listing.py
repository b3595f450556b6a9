"""Which videos a listing has, and where its pages end."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from gostream_shared.domain.video import MediaKind, Video, VideoStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFilter:
    """Selects the videos of a listing; None and empty tuples match all.

    A label is "key=value", or "key" for any value. A title contains every one of `words`.
    """

    user_id: str | None = None
    status: VideoStatus | None = None
    external_id: str | None = None
    labels: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    created_from: datetime | None = None  # inclusive
    created_until: datetime | None = None  # exclusive
    media_kind: MediaKind | None = None  # of the published encode
    with_deleted: bool = False  # also deleted videos that can be undeleted


@dataclass(frozen=True, slots=True)
class Position:
    """The end of a page. Listings are in descending order of (created_at, id)."""

    created_at: datetime
    id: UUID


class State(NamedTuple):
    """Identifies one committed state of a video.

    A failover of the database may issue a version a second time, but never with the same time.
    """

    id: UUID
    version: int
    updated_at: datetime


class ListedVideo(NamedTuple):
    """A row of a listing. `load` converts it, which costs more than the query."""

    state: State
    created_at: datetime
    load: Callable[[], Video]
