"""A video, its states, and the legal transitions."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

from gostream_shared.domain.object_keys import source_key
from gostream_shared.domain.playback import FIRST_EPOCH, PUBLIC_GATE, PlaybackPolicy
from gostream_shared.domain.tracks import Track
from gostream_shared.domain.videos.downloads import Download
from gostream_shared.domain.videos.loudness import Loudness


class MediaKind(enum.StrEnum):
    """What a published video consists of. The names are those of the API's enum without the prefix."""

    VIDEO = "VIDEO"  # a picture, with or without sound
    AUDIO = "AUDIO"  # sound alone


class VideoStatus(enum.StrEnum):
    """The state of a video. The names are those of the API's enum without the prefix."""

    PENDING_UPLOAD = "PENDING_UPLOAD"
    PROCESSING = "PROCESSING"
    READY = "READY"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_terminal(self) -> bool:
        """True if processing has ended: the state changes only after a new request."""
        return self in _TERMINAL


_TERMINAL = frozenset({VideoStatus.READY, VideoStatus.FAILED, VideoStatus.CANCELLED})

#: The states from which each state can be reached. The SQL guards are built from this table.
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
    """The uploaded source, as probed. Sizes in bytes."""

    container: str
    codecs: tuple[str, ...]
    size_bytes: int
    fps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """One rung of the published ladder. Bandwidths are measured, in bits per second.

    Rungs of sound alone have a width and a height of 0.
    """

    name: str
    width: int
    height: int
    codecs: str
    average_bandwidth: int
    peak_bandwidth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why processing failed: a stable code, a message for people, the stage, and whether a retry can help."""

    code: str
    message: str
    retryable: bool
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """The result of one successful encode in the object store."""

    duration: timedelta
    source: Source
    renditions: tuple[Rendition, ...]
    poster: str | None = None  # path below hls/{id}/, for example "v1/poster.jpg"
    storyboard: str | None = None  # path of the WebVTT file of the storyboard
    preview: str | None = None  # path of an animated picture
    tracks: tuple[Track, ...] = ()  # of the source besides the picture, in the source's order
    downloads: tuple[Download, ...] = ()
    media_kind: MediaKind = MediaKind.VIDEO
    loudness: Loudness | None = (
        None  # of the default sound; None without sound, for silence, or if unmeasured
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """The committed state of a video at `version`. It is immutable, so it can be shared and cached."""

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
    published_number: int | None = None  # of the published encode
    playable_number: int | None = None  # of the latest encode with early playback
    publication: Publication | None = None
    failure: Failure | None = None
    playback_policy: PlaybackPolicy = PlaybackPolicy.PUBLIC
    playback_epoch: int = FIRST_EPOCH
    labels: Mapping[str, str] = field(default_factory=dict)
    external_id: str = ""  # empty = none
    expires_at: datetime | None = None  # the time of its deletion
    deleted_at: datetime | None = None

    @property
    def etag(self) -> str:
        """An etag that is opaque to clients and changes with every version."""
        return f'"{self.version}"'

    @property
    def is_playable_early(self) -> bool:
        """True if the running encode offers early playback; see early_master_key."""
        return self.status is VideoStatus.PROCESSING and self.playable_number == self.encode_number

    @property
    def gate(self) -> str | None:
        """The name of the gate that must exist; None if no one may play, or there is nothing to play.

        A failed encode keeps the gate for the viewers of its early playback, whose playlists end.
        """
        if self.deleted_at is not None:
            return None
        ended_early = self.status is VideoStatus.FAILED and self.playable_number == self.encode_number
        if self.published_number is None and not (self.is_playable_early or ended_early):
            return None
        gates = {PlaybackPolicy.PUBLIC: PUBLIC_GATE, PlaybackPolicy.SIGNED: str(self.playback_epoch)}
        return gates.get(self.playback_policy)

    @property
    def source_key(self) -> str:
        """The object key of the source. It contains the id only, never text from a user."""
        return source_key(self.id)
