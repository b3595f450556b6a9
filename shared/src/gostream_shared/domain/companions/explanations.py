"""What the database knows of one video, for the explanation of its state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from gostream_shared.domain.video import Video


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeRecord:
    """The latest encode of a video. `waits`: no attempt has started."""

    number: int
    profile: str
    worker: str
    stage: str
    percent: float
    attempt: int
    forgiven: int
    log_tail: str
    created_at: datetime
    started_at: datetime | None
    outage_since: datetime | None
    #: None: not in chunks, or not planned yet.
    chunks_left: int | None
    chunks_done: int
    chunks: int
    #: The most tries of one chunk that do not count as forgiven.
    chunk_tries: int
    waits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRecord:
    """The queue around the latest encode."""

    #: Encodes that began to wait earlier.
    ahead: int
    #: Workers with a running encode whose job has a heartbeat of the last two minutes.
    workers: int
    #: Jobs of this encode.
    jobs: int
    #: Seconds since the last heartbeat of a running job of this encode; None: none runs.
    heartbeat_age: float | None
    #: Average duration in seconds of the last encodes that succeeded; None: there are none.
    seconds_each: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRecord:
    """A source that no one uploads. Its URL may contain a secret, so it is not here."""

    key: str
    is_fetched: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRecord:
    """An added track."""

    id: UUID
    state: str
    error_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecord:
    """Everything about one video at `now`, by the clock of the database."""

    now: datetime
    video: Video
    #: Of the source, as the caller declared it.
    size_bytes: int | None
    upload_url_expires_at: datetime | None
    encode: EncodeRecord | None
    queue: QueueRecord | None
    remote: RemoteRecord | None
    tracks: Sequence[TrackRecord]
    #: Versions that are not announced to every cache yet, and seconds since the oldest was committed.
    unannounced: int
    unannounced_for: float


class Explanations(Protocol):
    """Reads what an explanation needs."""

    async def record(self, video_id: UUID) -> VideoRecord | None:
        """Returns the record of a video, also of a deleted one. Raises BackendUnavailableError."""
        ...
