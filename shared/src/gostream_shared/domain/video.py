"""A video, its states, and the legal ways between them."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

from gostream_shared.domain import profiles

#: The master playlist that viewers read, below the video's prefix.
MASTER = "master.m3u8"
#: The master playlist of an encode that is still at work, below the encode's prefix.
EARLY_MASTER = "early.m3u8"


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
class Encode:
    """One run of the pipeline over a video's source; its prefix in the object store is `v{number}`.

    `attempt` counts the workers that have begun it, and fences them: only the latest may publish or fail it.
    `forgiven` of the attempts before ended for reasons that were not the encode's: an outage, a deploy.
    `profile` names how the caller wants it; every attempt has the same.
    """

    video_id: UUID
    number: int
    attempt: int
    forgiven: int = 0
    profile: str = profiles.DEFAULT

    @property
    def tries(self) -> int:
        """How many attempts count, this one included."""
        return self.attempt - self.forgiven


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an encode has come. `percent` is 0–100 and never falls within one encode."""

    stage: str
    percent: float = 0.0
    speed: float | None = None  # media seconds per second
    eta: timedelta | None = None


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


def source_key(video_id: UUID) -> str:
    """Object key of the uploaded source."""
    return f"uploads/{video_id}/source"


def hls_prefix(video_id: UUID) -> str:
    """Prefix below which everything that viewers may read is published, with a trailing slash."""
    return f"hls/{video_id}/"


def master_key(video_id: UUID) -> str:
    """Object key of the master playlist: the one mutable object of a video."""
    return hls_prefix(video_id) + MASTER


def early_master_key(video_id: UUID, number: int) -> str:
    """Object key of the master playlist of an encode that is still at work."""
    return encode_prefix(video_id, number) + EARLY_MASTER


def encode_prefix(video_id: UUID, number: int) -> str:
    """Prefix of one encode's immutable objects, with a trailing slash."""
    return f"{hls_prefix(video_id)}v{number}/"
