"""Ports to the database of record. The adapter is gostream_shared.db; a fake is tests.support.videos."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from gostream_shared.domain.encode import Encode, Progress
from gostream_shared.domain.jobs import JobQueue
from gostream_shared.domain.video import Failure, Publication, Video, VideoStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVideo:
    """What a client says of a video it creates. `fingerprint` binds `request_id` to the request's content."""

    id: UUID
    user_id: str
    title: str
    content_type: str
    size_bytes: int | None = None
    request_id: str | None = None
    fingerprint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFilter:
    """Which videos a listing shows; None admits all."""

    user_id: str | None = None
    status: VideoStatus | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page of a listing ends: listings go by falling (created_at, id)."""

    created_at: datetime
    id: UUID


class VideoRepository(Protocol):
    """Videos in the database of record.

    Every write raises the row's version and leaves an outbox row, in the same transaction, by trigger.
    Every method raises BackendUnavailableError when the database does not answer within its deadline.
    """

    async def get(self, video_id: UUID) -> Video:
        """The committed video. Raises VideoNotFoundError, with the tombstone's version if it was deleted."""
        ...

    async def get_many(self, video_ids: Sequence[UUID]) -> dict[UUID, Video]:
        """Those of the videos that exist, by one query."""
        ...

    async def list_page(self, which: VideoFilter, *, limit: int, after: Position | None) -> list[Video]:
        """At most `limit` videos, newest first, beyond `after`."""
        ...

    async def create(self, new: NewVideo) -> Video:
        """Insert, or answer the video the same request_id made before.

        Raises RequestIdReusedError when that request had another fingerprint, or its video was deleted.
        """
        ...

    async def delete(self, video_id: UUID, *, version: int | None = None) -> int:
        """Leave a tombstone and answer its version; with `version` only over that one.

        Raises VideoNotFoundError and EtagMismatchError.
        """
        ...


class EncodeRepository(Protocol):
    """Encodes of videos in the database of record: who may work at one is decided by its fence.

    A fence is the triple (video id, number, attempt) of an Encode; only the latest attempt holds it. The same
    rules as for VideoRepository: every write raises the row's version by trigger, and every method raises
    BackendUnavailableError when the database does not answer within its deadline.
    """

    async def start_encode(
        self, video_id: UUID, *, profile: str, request_id: str | None = None
    ) -> Encode | None:
        """Move to PROCESSING with a new encode number.

        None when there is nothing to start: it is PROCESSING with that profile, or `request_id` started an
        encode of this video before. Raises VideoNotFoundError, AlreadyProcessingError when the running encode
        has another profile, and RequestIdReusedError when the earlier request had another.
        """
        ...

    async def count_waiting(self, *, at_most: int) -> int:
        """How many encodes no worker has begun yet; counting ends at `at_most`."""
        ...

    async def begin_attempt(self, video_id: UUID, number: int, *, worker: str) -> Encode:
        """Count an attempt before its encoder starts; the one before loses its fence.

        Raises FenceLostError when the encode is no longer the video's one at work.
        """
        ...

    async def forgive_attempt(self, encode: Encode) -> None:
        """Do not count this attempt: what ended it was not the encode's fault. Raises FenceLostError."""
        ...

    async def note_outage(self, encode: Encode, *, forgiven: bool) -> timedelta:
        """A backend out of reach has ended this attempt; answers how long it keeps the encode from its work.

        `forgiven` does not count the attempt; without, the outage is a new one. Raises FenceLostError.
        """
        ...

    async def report_progress(self, encode: Encode, progress: Progress) -> None:
        """Note how far the encode has come; the percentage never falls. Changes no version.

        Raises FenceLostError.
        """
        ...

    async def progress(self, video_id: UUID, number: int) -> Progress | None:
        """What report_progress noted last for that encode."""
        ...

    async def mark_video_playable(self, encode: Encode) -> Video:
        """The encode at work can be played from now on, as far as it has come. Raises FenceLostError.

        Said again, by a later attempt too, it changes no version.
        """
        ...

    async def lock_for_publish(self, encode: Encode) -> None:
        """Within a transaction: hold the row until it ends. Raises FenceLostError."""
        ...

    async def mark_video_ready(self, encode: Encode, publication: Publication) -> Video:
        """PROCESSING → READY. Raises FenceLostError."""
        ...

    async def mark_video_failed(self, encode: Encode, failure: Failure, *, log_tail: str = "") -> Video:
        """PROCESSING → FAILED; what was published before stays published. Raises FenceLostError."""
        ...

    async def cancel(self, video_id: UUID) -> Video:
        """PROCESSING → CANCELLED; the attempt at work loses its fence.

        Raises VideoNotFoundError and NotProcessingError.
        """
        ...


class Uploads(Protocol):
    """When the upload URLs of videos expire. Every method raises BackendUnavailableError."""

    async def note_url(self, video_id: UUID, *, expires_in: timedelta) -> None:
        """Record that an upload URL of the video works for so long from now; the latest expiry counts."""
        ...

    async def delete_abandoned(self, *, expired_for: timedelta, limit: int) -> tuple[int, dict[UUID, int]]:
        """Delete videos in PENDING_UPLOAD whose URLs expired so long ago, of the `limit` oldest uploads.

        Returns the number of uploads that were examined, and the versions of the tombstones by id. Returns
        none while another transaction does the same.
        """
        ...


class Transaction(Protocol):
    """Writes and jobs that become visible together, or not at all."""

    @property
    def videos(self) -> VideoRepository: ...

    @property
    def encodes(self) -> EncodeRepository: ...

    @property
    def uploads(self) -> Uploads: ...

    @property
    def jobs(self) -> JobQueue: ...


class Database(Protocol):
    """The database of record. `videos` and `encodes` commit each call, `transaction()` commits on leaving."""

    @property
    def videos(self) -> VideoRepository: ...

    @property
    def encodes(self) -> EncodeRepository: ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]: ...


class Outbox(Protocol):
    """Versions that were committed but perhaps not announced yet; rows are made by trigger."""

    def claim(self, limit: int) -> AbstractAsyncContextManager[Sequence[tuple[UUID, int]]]:
        """Up to `limit` unannounced (video id, version), highest version per video, locked for the block.

        Leaving the block normally settles them; leaving it by an error gives them back.
        """
        ...

    async def unsettled(self, limit: int) -> Mapping[UUID, int] | None:
        """The highest version of each video with rows, claimed or not; None if more than `limit`."""
        ...

    async def settle(self, video_id: UUID, version: int) -> None:
        """Forget the rows of that video up to that version: they were announced."""
        ...
