"""Jobs that the API enqueues for the workers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscodeJob:
    """Plan encode `number` of this video's source, and encode a short film. Delivered at least once.

    `attempt` that a new plan follows; jobs that differ in it are queued separately.
    """

    video_id: UUID
    number: int
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkJob:
    """Encode one chunk of a film. Delivered at least once."""

    video_id: UUID
    number: int
    chunk: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishJob:
    """Publish a film whose chunks are done. Delivered at least once."""

    video_id: UUID
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchJob:
    """Fetch this video's source from its URL, then start encode `number`. Delivered at least once."""

    video_id: UUID
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadJob:
    """Make the downloads of published encode `number`. Delivered at least once."""

    video_id: UUID
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveJob:
    """Remove unreferenced objects.

    `number` selects the objects of one encode; None selects all objects of the video, including the source.
    With `published_attempt`, only objects of the encode's other attempts are removed. Jobs that differ only
    in `turn` are queued separately; a later one removes objects that were written after the earlier one ran.
    `deletion` is the version of the tombstone: a job of an earlier deletion, which may be running, must not
    stand for the job of a later one. With `track`, the objects of an
    added track that was deleted, or whose file was never uploaded; `number` is that of its stored bytes.
    """

    video_id: UUID
    number: int | None = None
    published_attempt: int | None = None
    turn: int = 0
    deletion: int = 0
    track: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireJob:
    """Delete this video, whose expiry time was set to `expires_at`."""

    video_id: UUID
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireUploadJob:
    """End an upload session unless it was completed, and remove its parts from the object store."""

    video_id: UUID
    generation: int
    store_upload_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishTracksJob:
    """Make the published stream of a video have its added tracks. Delivered at least once.

    `change` is unique: a job that is running may have read the tracks before the change.
    """

    video_id: UUID
    change: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchTrackJob:
    """Fetch the file of an added track from its URL. Delivered at least once."""

    video_id: UUID
    track_id: UUID


Job = (
    TranscodeJob
    | ChunkJob
    | FinishJob
    | FetchJob
    | DownloadJob
    | RemoveJob
    | ExpireJob
    | ExpireUploadJob
    | PublishTracksJob
    | FetchTrackJob
)


class JobQueue(Protocol):
    """The job queue, as part of the transaction it was taken from."""

    async def enqueue(self, job: Job, *, delay: timedelta = timedelta(0), turn: int = 0) -> None:
        """Enqueue a job unless an equal job is waiting. It runs `delay` after commit.

        Jobs of one kind run in the order of their turns, the lowest first.
        """
        ...
