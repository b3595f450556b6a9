"""Ports to the database of record. The adapter is gostream_shared.db; tests.support.videos has a fake."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from gostream_shared.domain.companions.added_tracks import AddedTracks
from gostream_shared.domain.companions.chunks import Chunks
from gostream_shared.domain.companions.remote_sources import RemoteSources
from gostream_shared.domain.companions.webhooks import Webhooks
from gostream_shared.domain.encode import Encode, Progress
from gostream_shared.domain.jobs import JobQueue
from gostream_shared.domain.playback import GateChanges, PlaybackPolicy
from gostream_shared.domain.quotas import Usages
from gostream_shared.domain.trail import Trail
from gostream_shared.domain.uploads import Uploads, UploadSessions
from gostream_shared.domain.video import Failure, Publication, Video
from gostream_shared.domain.videos.deletions import Deletions
from gostream_shared.domain.videos.downloads import Downloads
from gostream_shared.domain.videos.listing import ListedVideo, Position, VideoFilter
from gostream_shared.domain.videos.loudness import LoudnessTarget
from gostream_shared.domain.videos.options import USUAL, EncodeOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVideo:
    """A video to create. `fingerprint` binds `request_id` to the content of the request."""

    id: UUID
    user_id: str
    title: str
    content_type: str
    size_bytes: int | None = None
    request_id: str | None = None
    fingerprint: str = ""
    playback_policy: PlaybackPolicy = PlaybackPolicy.PUBLIC
    created_by: str = ""  # the id of the principal; request ids of different principals never meet
    labels: Mapping[str, str] = field(default_factory=dict)
    external_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoChanges:
    """New values of those of a video's fields that `fields` names."""

    fields: frozenset[str]
    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    external_id: str = ""
    expires_at: datetime | None = None
    playback_policy: PlaybackPolicy = PlaybackPolicy.PUBLIC


class VideoRepository(Protocol):
    """Videos in the database of record.

    A trigger increments the row's version and inserts an outbox row with every write, in the same
    transaction. Every method raises BackendUnavailableError if the database does not answer within its
    deadline. If `owner` is given, a video of another owner does not exist.
    """

    async def get(self, video_id: UUID, *, owner: str | None = None) -> Video:
        """Returns the committed video.

        Raises VideoNotFoundError, with the version of the tombstone if the video was deleted.
        """
        ...

    async def get_restorable(self, video_id: UUID, *, owner: str | None = None) -> Video:
        """Like `get`, but also returns a deleted video until its objects are removed."""
        ...

    async def get_many(self, video_ids: Sequence[UUID]) -> dict[UUID, Video]:
        """Returns the existing videos by id, with one query."""
        ...

    async def list_page(self, which: VideoFilter, *, limit: int, after: Position | None) -> list[ListedVideo]:
        """Returns at most `limit` videos after position `after`, newest first."""
        ...

    async def create(self, new: NewVideo) -> Video:
        """Insert a video, or return the video that the same request_id created before.

        Raises RequestIdReusedError if the earlier request had another fingerprint or another principal, or
        its video was deleted, and ExternalIdInUseError.
        """
        ...

    async def update(
        self, video_id: UUID, changes: VideoChanges, *, version: int | None = None, owner: str | None = None
    ) -> tuple[Video, bool]:
        """Apply the changes. Returns the video, and False if the values were equal, which changes no version.

        Another policy begins a new playback epoch. Raises VideoNotFoundError, ExternalIdInUseError, and
        EtagMismatchError if `version` is given and differs.
        """
        ...

    async def revoke_playback(self, video_id: UUID, *, owner: str | None = None) -> Video:
        """Begin a new playback epoch. Raises VideoNotFoundError."""
        ...

    async def delete(
        self,
        video_id: UUID,
        *,
        version: int | None = None,
        owner: str | None = None,
        retention: timedelta | None = None,
    ) -> int:
        """Replace the video by a tombstone and return the tombstone's version.

        The video can be undeleted for `retention`; None = never, also if it was deleted before. Raises
        VideoNotFoundError, and EtagMismatchError if `version` is given and differs.
        """
        ...


class EncodeRepository(Protocol):
    """Encodes of videos in the database of record, guarded by fences.

    A fence is the triple (video id, number, attempt) of an Encode; only the latest attempt holds it. As in
    VideoRepository, a trigger increments the row's version with every write, every method raises
    BackendUnavailableError if the database does not answer within its deadline, and a video of another owner
    than `owner` does not exist.
    """

    async def start_encode(
        self,
        video_id: UUID,
        *,
        profile: str,
        options: EncodeOptions = USUAL,
        loudness: LoudnessTarget | None = None,
        request_id: str | None = None,
        owner: str | None = None,
    ) -> Encode | None:
        """Move the video to PROCESSING with a new encode number.

        Returns None if the video is already PROCESSING with this profile, loudness and options, or
        `request_id` started such an encode of this video before. Raises VideoNotFoundError,
        AlreadyProcessingError if the running encode differs in them, and RequestIdReusedError if the earlier
        request differed in them.
        """
        ...

    async def count_waiting(self, *, at_most: int, owner: str | None = None) -> int:
        """Returns the number of encodes that wait for a worker, of one owner or of all, up to `at_most`."""
        ...

    async def begin_attempt(self, video_id: UUID, number: int, *, worker: str) -> Encode:
        """Start an attempt; the attempt before it loses its fence.

        Raises FenceLostError if the encode is no longer the video's current encode, or its chunks are at
        work.
        """
        ...

    async def forgive_attempt(self, encode: Encode) -> None:
        """Do not count this attempt as a try: the encode did not cause its end. Raises FenceLostError."""
        ...

    async def note_outage(self, encode: Encode, *, forgiven: bool) -> timedelta:
        """Record that an outage of a backend ended this attempt. Returns the duration of the outage so far.

        With `forgiven`, the attempt does not count as a try and a running outage continues; without it, a new
        outage begins. Raises FenceLostError.
        """
        ...

    async def report_progress(self, encode: Encode, progress: Progress) -> None:
        """Store the progress; the percentage never falls and the version does not change.

        Raises FenceLostError.
        """
        ...

    async def progress(self, video_id: UUID, number: int) -> Progress | None:
        """Returns the latest progress stored by report_progress, None if the encode does not exist."""
        ...

    async def mark_video_playable(self, encode: Encode) -> Video:
        """Mark the running encode as ready for early playback. Raises FenceLostError.

        A repeated call, also by a later attempt, changes no version.
        """
        ...

    async def lock_for_publish(self, encode: Encode) -> None:
        """Lock the row until the end of the transaction. Raises FenceLostError."""
        ...

    async def mark_video_ready(self, encode: Encode, publication: Publication) -> Video:
        """PROCESSING → READY. Raises FenceLostError."""
        ...

    async def mark_video_failed(self, encode: Encode, failure: Failure, *, log_tail: str = "") -> Video:
        """PROCESSING → FAILED; an earlier publication stays published. Raises FenceLostError."""
        ...

    async def cancel(self, video_id: UUID, *, owner: str | None = None) -> Video:
        """PROCESSING → CANCELLED; the running attempt loses its fence.

        Raises VideoNotFoundError and NotProcessingError.
        """
        ...


class Transaction(Protocol):
    """Writes and jobs that commit together or not at all."""

    @property
    def videos(self) -> VideoRepository: ...

    @property
    def encodes(self) -> EncodeRepository: ...

    @property
    def chunks(self) -> Chunks: ...

    @property
    def deletions(self) -> Deletions: ...

    @property
    def downloads(self) -> Downloads: ...

    @property
    def uploads(self) -> Uploads: ...

    @property
    def remote_sources(self) -> RemoteSources: ...

    @property
    def upload_sessions(self) -> UploadSessions: ...

    @property
    def added_tracks(self) -> AddedTracks: ...

    @property
    def trail(self) -> Trail: ...

    @property
    def usages(self) -> Usages: ...

    @property
    def webhooks(self) -> Webhooks: ...

    @property
    def jobs(self) -> JobQueue: ...


class Database(Protocol):
    """The database of record. `transaction()` commits at its end, the other attributes commit each call."""

    @property
    def videos(self) -> VideoRepository: ...

    @property
    def encodes(self) -> EncodeRepository: ...

    @property
    def chunks(self) -> Chunks: ...

    @property
    def deletions(self) -> Deletions: ...

    @property
    def upload_sessions(self) -> UploadSessions: ...

    @property
    def gates(self) -> GateChanges: ...

    @property
    def remote_sources(self) -> RemoteSources: ...

    @property
    def added_tracks(self) -> AddedTracks: ...

    @property
    def usages(self) -> Usages: ...

    @property
    def webhooks(self) -> Webhooks: ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]: ...
