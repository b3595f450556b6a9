"""The use cases of VideoService, in the domain's words: they know neither gRPC nor any driver."""

import re
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from gostream_api.videos.ids import new_id
from gostream_api.videos.page_tokens import page_token, position_of
from gostream_shared.cache.ports import ChangeAnnouncer
from gostream_shared.domain.errors import (
    QueueFullError,
    SourceNotUploadedError,
    SourceTooLargeError,
    UploadClosedError,
)
from gostream_shared.domain.jobs import RemoveJob, TranscodeJob
from gostream_shared.domain.object_keys import source_key
from gostream_shared.domain.repositories import Database, NewVideo, Position, VideoFilter
from gostream_shared.domain.video import Video, VideoStatus
from gostream_shared.storage.port import ObjectNotFoundError, ObjectStore, PresignedUpload

#: From a deletion to the removal of the objects: a worker at it finds out first, and stops writing.
REMOVE_DELAY = timedelta(minutes=1)
#: From the expiry of the last upload URL to the removals of what was uploaded meanwhile. An upload that
#: began in time may end long after it.
_LATE_UPLOADS = (timedelta(minutes=1), timedelta(hours=24))
#: From the cancellation of a video that was never READY to the removal of its objects.
_CANCEL_DELAY = timedelta(seconds=6)

_ETAG = re.compile(r'"([0-9]{1,18})"')


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoDraft:
    """What a client says of a video it creates."""

    title: str
    user_id: str
    content_type: str
    size_bytes: int | None
    request_id: str | None

    @property
    def fingerprint(self) -> str:
        """Equal for equal requests: it binds request_id to what was asked with it."""
        said = (self.title, self.user_id, self.content_type, self.size_bytes)
        return sha256(repr(said).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What this deployment accepts."""

    source_max_bytes: int
    upload_url_ttl: timedelta
    queue_limit: int


class VideoService:
    """Every use case but GetVideo, which CachedVideoService answers, and WatchVideo.

    Every method raises BackendUnavailableError when the database or the object store does not answer. Every
    write is announced after its commit; one that is cancelled in between is announced by the outbox relay.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: ObjectStore,
        announcer: ChangeAnnouncer,
        limits: Limits,
    ) -> None:
        self._database = database
        self._store = store
        self._announcer = announcer
        self._limits = limits

    async def create_video(self, draft: VideoDraft) -> tuple[Video, PresignedUpload]:
        """A new video, or the one that this request_id made, and how to upload its source.

        Raises RequestIdReusedError, and UploadClosedError if the earlier video does not wait for its upload.
        """
        new = NewVideo(
            id=new_id(),
            user_id=draft.user_id,
            title=draft.title,
            content_type=draft.content_type,
            size_bytes=draft.size_bytes,
            request_id=draft.request_id,
            fingerprint=draft.fingerprint,
        )
        async with self._database.transaction() as transaction:
            video = await transaction.videos.create(new)
            if video.status is not VideoStatus.PENDING_UPLOAD:
                raise UploadClosedError(video.id)
            await transaction.uploads.note_url(video.id, expires_in=self._limits.upload_url_ttl)
        if video.id == new.id:  # else an earlier call made it. Someone may have asked for the id too early.
            await self._announcer.announce(video.id, video.version)
        upload = await self._store.presign_upload(
            video.source_key,
            content_type=draft.content_type,
            size_bytes=draft.size_bytes,
            expires_in=self._limits.upload_url_ttl,
        )
        return video, upload

    async def trigger_process(self, video_id: UUID, *, profile: str, request_id: str | None) -> Video:
        """Start an encode of the uploaded source, unless one is running or `request_id` started one before.

        Raises VideoNotFoundError, SourceNotUploadedError, SourceTooLargeError, AlreadyProcessingError,
        RequestIdReusedError and QueueFullError.
        """
        video = await self._database.videos.get(video_id)
        if video.status is not VideoStatus.PROCESSING:
            await self._require_source(video_id)
            await self._require_room()
        async with self._database.transaction() as transaction:
            encode = await transaction.encodes.start_encode(video_id, profile=profile, request_id=request_id)
            if encode is not None:
                await transaction.jobs.enqueue(TranscodeJob(video_id=video_id, number=encode.number))
            video = await transaction.videos.get(video_id)
        if encode is not None:
            await self._announcer.announce(video_id, video.version)
        return video

    async def cancel_process(self, video_id: UUID) -> Video:
        """End its processing; the worker notices by its fence, kills the encoder and removes what it made.

        What a video that was never READY has in the store is removed even if that worker is gone. Raises
        VideoNotFoundError and NotProcessingError.
        """
        async with self._database.transaction() as transaction:
            video = await transaction.encodes.cancel(video_id)
            if video.published_number is None:
                job = RemoveJob(video_id=video_id, number=video.encode_number, turn=1)
                await transaction.jobs.enqueue(job, delay=_CANCEL_DELAY)
        await self._announcer.announce(video_id, video.version)
        return video

    async def list_videos(self, which: VideoFilter, *, page_size: int, token: str) -> tuple[list[Video], str]:
        """A page, newest first, and the token of the next one, empty on the last.

        Raises PageTokenInvalidError.
        """
        after = position_of(token, which) if token else None
        found = await self._database.videos.list_page(which, limit=page_size + 1, after=after)
        page = found[:page_size]
        if len(found) == len(page):
            return page, ""
        return page, page_token(Position(page[-1].created_at, page[-1].id), which)

    async def delete_video(self, video_id: UUID, *, etag: str) -> None:
        """Delete it, with `etag` only if it still has that one; its objects are removed later.

        What is uploaded after that, with a URL that still works, is removed after the URL has expired.

        Raises VideoNotFoundError and EtagMismatchError.
        """
        async with self._database.transaction() as transaction:
            version = await transaction.videos.delete(video_id, version=_version_of(etag))
            await transaction.jobs.enqueue(RemoveJob(video_id=video_id), delay=REMOVE_DELAY)
            for turn, late in enumerate(_LATE_UPLOADS, start=1):
                delay = self._limits.upload_url_ttl + late
                await transaction.jobs.enqueue(RemoveJob(video_id=video_id, turn=turn), delay=delay)
        await self._announcer.announce(video_id, version)

    async def _require_source(self, video_id: UUID) -> None:
        try:
            source = await self._store.head(source_key(video_id))
        except ObjectNotFoundError:
            raise SourceNotUploadedError(video_id) from None
        limit = self._limits.source_max_bytes
        if source.size > limit:
            raise SourceTooLargeError(video_id, size_bytes=source.size, limit_bytes=limit)

    async def _require_room(self) -> None:
        """A soft limit: calls at the same moment may exceed it by their number."""
        limit = self._limits.queue_limit
        if await self._database.encodes.count_waiting(at_most=limit) >= limit:
            raise QueueFullError


def _version_of(etag: str) -> int | None:
    """The version that an etag names; None without one, 0 (never a version) for one that is not ours."""
    if not etag:
        return None
    match = _ETAG.fullmatch(etag)
    return int(match[1]) if match else 0
