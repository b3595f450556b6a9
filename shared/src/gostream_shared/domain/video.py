"""A video, its states, and the legal ways between them."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

from gostream_shared.domain.object_keys import source_key


class VideoStatus(enum.StrEnum):
    """Where a video is in its life; the wire's names without their prefix."""

    PENDING_UPLOAD = "PENDING_UPLOAD"
    PROCESSING = "PROCESSING"
    READY = "READY"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_terminal(self) -> bool:
        """Whether processing has come to an end: nothing changes without a new request."""
        return self in _TERMINAL


_TERMINAL = frozenset({VideoStatus.READY, VideoStatus.FAILED, VideoStatus.CANCELLED})

#: status → the statuses it may be reached from. The SQL guards are built from this table.
PREDECESSORS: Mapping[VideoStatus, frozenset[VideoStatus]] = MappingProxyType(
    {
        VideoStatus.PENDING_UPLOAD: frozenset(),
        VideoStatus.PROCESSING: frozenset({VideoStatus.PENDING_UPLOAD}) | _TERMINAL,
        VideoStatus.READY: frozenset({VideoStatus.PROCESSING}),
        VideoStatus.FAILED: frozenset({VideoStatus.PROCESSING}),
        VideoStatus.CANCELLED: frozenset({VideoStatus.PROCESSING}),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What was uploaded, as our probe saw it. Sizes in bytes."""

    container: str
    codecs: tuple[str, ...]
    size_bytes: int
    fps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """One rung of the published ladder. Bandwidths in bits per second, measured."""

    name: str
    width: int
    height: int
    codecs: str
    average_bandwidth: int
    peak_bandwidth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why processing failed: a stable code, a sentence for people, the stage, whether a retry can help."""

    code: str
    message: str
    retryable: bool
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What one successful encode put in the object store."""

    duration: timedelta
    source: Source
    renditions: tuple[Rendition, ...]
    poster: str | None = None  # path below hls/{id}/, for example "v1/poster.jpg"
    storyboard: str | None = None  # likewise, the WebVTT that names the parts of its sheet


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """The committed state of a video at `version`; immutable, so it can be shared and cached."""

    id: UUID
    user_id: str
    title: str
    status: VideoStatus
    version: int
    content_type: str
    created_at: datetime
    updated_at: datetime
    ready_at: datetime | None = None
    encode_number: int = 0  # of the latest encode; 0 = none yet
    attempt: int = 0  # of that encode
    published_number: int | None = None  # of the encode that viewers see
    playable_number: int | None = None  # of the latest encode that could be played before it was READY
    publication: Publication | None = None
    failure: Failure | None = None

    @property
    def etag(self) -> str:
        """Opaque to clients; changes with every version."""
        return f'"{self.version}"'

    @property
    def is_playable_early(self) -> bool:
        """Whether what there is of the encode at work can be played; see early_master_key."""
        return self.status is VideoStatus.PROCESSING and self.playable_number == self.encode_number

    @property
    def source_key(self) -> str:
        """Where the client uploads to. Made of the id alone: no user text ever becomes a key."""
        return source_key(self.id)
