"""The use cases of VideoService, independent of gRPC and of drivers."""

import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from gostream_api.principal import Principal
from gostream_api.videos.ids import new_id
from gostream_api.videos.page_tokens import page_token, position_of
from gostream_api.videos.quotas import Quotas
from gostream_api.videos.trail import SAME_REQUEST, SAME_VALUES, Call, Origin
from gostream_shared.cache.ports import ChangeAnnouncer
from gostream_shared.domain.errors import (
    SourceNotUploadedError,
    SourceTooLargeError,
    UploadClosedError,
)
from gostream_shared.domain.jobs import RemoveJob, TranscodeJob
from gostream_shared.domain.object_keys import source_key
from gostream_shared.domain.playback import PlaybackPolicy
from gostream_shared.domain.repositories import (
    Database,
    ListedVideo,
    NewVideo,
    Position,
    VideoChanges,
    VideoFilter,
)
from gostream_shared.domain.video import Video, VideoStatus
from gostream_shared.storage.gates import Gates
from gostream_shared.storage.port import ObjectNotFoundError, ObjectStore, PresignedUpload

#: From a deletion to the removal of the objects, so that a running worker loses its fence and stops first.
REMOVE_DELAY = timedelta(minutes=1)
#: From the expiry of the last upload URL to the removals of late uploads. An upload that starts before the
#: expiry may end long after it.
_LATE_UPLOADS = (timedelta(minutes=1), timedelta(hours=24))
#: From the cancellation of a video that was never READY to the removal of its objects.
_CANCEL_DELAY = timedelta(seconds=6)

_ETAG = re.compile(r'"([0-9]{1,18})"')


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoDraft:
    """The input of CreateVideo."""

    title: str
    user_id: str
    content_type: str
    size_bytes: int | None
    request_id: str | None
    playback_policy: PlaybackPolicy = PlaybackPolicy.PUBLIC

    @property
    def fingerprint(self) -> str:
        """A hash that is equal for equal requests, to bind request_id to the content of its request."""
        content: tuple[object, ...] = (self.title, self.user_id, self.content_type, self.size_bytes)
        if self.playback_policy is not PlaybackPolicy.PUBLIC:  # requests of earlier releases have none
            content += (self.playback_policy.value,)
        return sha256(repr(content).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of this deployment."""

    source_max_bytes: int
    upload_url_ttl: timedelta
    queue_limit: int
    quotas: Quotas = field(default_factory=Quotas)


class VideoService:
    """The use cases except reads by id (CachedVideoService) and WatchVideo (WatchService).

    Another owner's video does not exist for the caller: VideoNotFoundError comes before any other error.

    Every method raises BackendUnavailableError if the database or the object store does not answer. Every
    write is announced after its commit; if the call is cancelled in between, the outbox relay announces it.
    Every successful write adds one entry to the trail in its transaction; if that fails, the write fails.
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
        self._gates = Gates(database.gates, store)

    async def create_video(
        self, caller: Principal, origin: Origin, draft: VideoDraft
    ) -> tuple[Video, PresignedUpload]:
        """Create a video, or find the video that this request_id created. Returns it with an upload URL.

        Raises InvalidRequestError if the draft names another owner than the caller, RequestIdReusedError,
        QuotaExceededError, and UploadClosedError if the earlier video no longer accepts an upload.
        """
        call = Call("CreateVideo", caller, origin)
        draft = replace(draft, user_id=caller.owner_of_new(draft.user_id))
        new = NewVideo(
            id=new_id(),
            user_id=draft.user_id,
            title=draft.title,
            content_type=draft.content_type,
            size_bytes=draft.size_bytes,
            request_id=draft.request_id,
            fingerprint=draft.fingerprint,
            playback_policy=draft.playback_policy,
            created_by=caller.id,
        )
        async with self._database.transaction() as transaction:
            video = await transaction.videos.create(new)
            if video.status is not VideoStatus.PENDING_UPLOAD:
                raise UploadClosedError(video.id)
            await transaction.uploads.note_url(video.id, expires_in=self._limits.upload_url_ttl)
            is_new = video.id == new.id
            if is_new:
                await self._limits.quotas.require_video(transaction, draft.user_id)
            values = {"status": video.status.value, "playback_policy": video.playback_policy.value}
            await transaction.trail.add(
                call.changed(video.id, values) if is_new else call.unchanged(video.id, SAME_REQUEST)
            )
        if is_new:  # A cache may hold "no such video" for the new id.
            await self._announcer.announce(video.id, video.version)
        upload = await self._store.presign_upload(
            video.source_key,
            content_type=draft.content_type,
            size_bytes=draft.size_bytes,
            expires_in=self._limits.upload_url_ttl,
        )
        return video, upload

    async def trigger_process(
        self, caller: Principal, origin: Origin, video_id: UUID, *, profile: str, request_id: str | None
    ) -> Video:
        """Start an encode of the uploaded source, unless one is running or `request_id` started one before.

        Raises VideoNotFoundError, SourceNotUploadedError, SourceTooLargeError, AlreadyProcessingError,
        RequestIdReusedError, QueueFullError and QuotaExceededError.
        """
        call = Call("TriggerProcess", caller, origin)
        video = await self._database.videos.get(video_id, owner=caller.sees)
        size = 0
        if video.status is not VideoStatus.PROCESSING:
            size = await self._require_source(video_id)
            await self._limits.quotas.require_room(
                self._database.encodes, video.user_id, queue_limit=self._limits.queue_limit
            )
        async with self._database.transaction() as transaction:
            encode = await transaction.encodes.start_encode(
                video_id, profile=profile, request_id=request_id, owner=caller.sees
            )
            if encode is not None:
                turn = await self._limits.quotas.require_encode(transaction, video, source_size=size)
                job = TranscodeJob(video_id=video_id, number=encode.number)
                await transaction.jobs.enqueue(job, turn=turn)
                values = {"status": VideoStatus.PROCESSING.value, "profile": profile}
                await transaction.trail.add(
                    call.changed(video_id, {**values, "encode_number": encode.number})
                )
            else:
                await transaction.trail.add(call.unchanged(video_id, SAME_REQUEST))
            video = await transaction.videos.get(video_id, owner=caller.sees)
        if encode is not None:
            await self._announcer.announce(video_id, video.version)
        return video

    async def cancel_process(self, caller: Principal, origin: Origin, video_id: UUID) -> Video:
        """Cancel the processing. The worker loses its fence, kills the encoder and removes its objects.

        If the video was never READY, a job removes its objects even if that worker has died. Raises
        VideoNotFoundError and NotProcessingError.
        """
        async with self._database.transaction() as transaction:
            video = await transaction.encodes.cancel(video_id, owner=caller.sees)
            if video.published_number is None:
                job = RemoveJob(video_id=video_id, number=video.encode_number, turn=1)
                await transaction.jobs.enqueue(job, delay=_CANCEL_DELAY)
            call = Call("CancelProcess", caller, origin)
            await transaction.trail.add(call.changed(video_id, {"status": video.status.value}))
        await self._announcer.announce(video_id, video.version)
        await self._gates.sync_promptly(video_id)
        return video

    async def update_video(
        self, caller: Principal, origin: Origin, video_id: UUID, changes: VideoChanges, *, etag: str
    ) -> Video:
        """Change a video. Edges obey another playback policy within seconds.

        Raises VideoNotFoundError, and EtagMismatchError if `etag` is given and differs.
        """
        call = Call("UpdateVideo", caller, origin)
        async with self._database.transaction() as transaction:
            video, is_changed = await transaction.videos.update(
                video_id, changes, version=_version_of(etag), owner=caller.sees
            )
            values = {"playback_policy": video.playback_policy.value, "playback_epoch": video.playback_epoch}
            await transaction.trail.add(
                call.changed(video_id, values) if is_changed else call.unchanged(video_id, SAME_VALUES)
            )
        await self._announcer.announce(video_id, video.version)
        await self._gates.sync_promptly(video_id)
        return video

    async def revoke_playback(self, caller: Principal, origin: Origin, video_id: UUID) -> Video:
        """End all signed URLs of a video within seconds. Raises VideoNotFoundError."""
        call = Call("RevokePlayback", caller, origin)
        async with self._database.transaction() as transaction:
            video = await transaction.videos.revoke_playback(video_id, owner=caller.sees)
            await transaction.trail.add(call.changed(video_id, {"playback_epoch": video.playback_epoch}))
        await self._announcer.announce(video_id, video.version)
        await self._gates.sync_promptly(video_id)
        return video

    async def list_videos(
        self, caller: Principal, which: VideoFilter, *, page_size: int, token: str
    ) -> tuple[list[ListedVideo], str]:
        """Returns a page, newest first, and the token of the next page, empty on the last page.

        Raises PageTokenInvalidError, and InvalidRequestError if the filter names another owner.
        """
        which = replace(which, user_id=caller.owner_listed(which.user_id))
        after = position_of(token, which) if token else None
        found = await self._database.videos.list_page(which, limit=page_size + 1, after=after)
        page = found[:page_size]
        if len(found) == len(page):
            return page, ""
        return page, page_token(Position(page[-1].created_at, page[-1].state.id), which)

    async def delete_video(self, caller: Principal, origin: Origin, video_id: UUID, *, etag: str) -> None:
        """Delete a video; jobs remove its objects later, and late uploads after their URL has expired.

        Raises VideoNotFoundError, and EtagMismatchError if `etag` is given and differs.
        """
        async with self._database.transaction() as transaction:
            version = await transaction.videos.delete(video_id, version=_version_of(etag), owner=caller.sees)
            await transaction.jobs.enqueue(RemoveJob(video_id=video_id), delay=REMOVE_DELAY)
            for turn, late in enumerate(_LATE_UPLOADS, start=1):
                delay = self._limits.upload_url_ttl + late
                await transaction.jobs.enqueue(RemoveJob(video_id=video_id, turn=turn), delay=delay)
            call = Call("DeleteVideo", caller, origin)
            await transaction.trail.add(call.changed(video_id, {"deleted": True}))
        await self._announcer.announce(video_id, version)
        await self._gates.sync_promptly(video_id)

    async def _require_source(self, video_id: UUID) -> int:
        """Returns the size of the source."""
        try:
            source = await self._store.head(source_key(video_id))
        except ObjectNotFoundError:
            raise SourceNotUploadedError(video_id) from None
        limit = self._limits.source_max_bytes
        if source.size > limit:
            raise SourceTooLargeError(video_id, size_bytes=source.size, limit_bytes=limit)
        return source.size


def _version_of(etag: str) -> int | None:
    """Returns the version of an etag; None without an etag, 0 (never a version) for an unknown etag."""
    if not etag:
        return None
    match = _ETAG.fullmatch(etag)
    return int(match[1]) if match else 0
