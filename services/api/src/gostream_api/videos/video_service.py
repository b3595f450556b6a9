"""The use cases of VideoService, independent of gRPC and of drivers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from gostream_api.principal import Principal
from gostream_api.videos.etags import version_of
from gostream_api.videos.ids import new_id
from gostream_api.videos.page_tokens import page_token, position_of
from gostream_api.videos.quotas import Quotas
from gostream_api.videos.sources import first_job, require_source
from gostream_api.videos.trail import SAME_REQUEST, SAME_VALUES, Call, Origin
from gostream_shared.cache.ports import ChangeAnnouncer
from gostream_shared.domain import profiles
from gostream_shared.domain.companions.remote_sources import RemoteSource
from gostream_shared.domain.errors import UploadClosedError
from gostream_shared.domain.jobs import ExpireJob, RemoveJob
from gostream_shared.domain.playback import PlaybackPolicy
from gostream_shared.domain.repositories import Database, NewVideo, VideoChanges
from gostream_shared.domain.video import Video, VideoStatus
from gostream_shared.domain.videos.deletions import expiry_delay
from gostream_shared.domain.videos.listing import ListedVideo, Position, VideoFilter
from gostream_shared.domain.videos.loudness import LoudnessTarget
from gostream_shared.domain.videos.options import USUAL, EncodeOptions
from gostream_shared.storage.gates import Gates
from gostream_shared.storage.port import ObjectStore, PresignedUpload

#: From the cancellation of a video that was never READY to the removal of its objects.
_CANCEL_DELAY = timedelta(seconds=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoDraft:
    """The input of CreateVideo."""

    title: str
    user_id: str
    content_type: str
    size_bytes: int | None
    request_id: str | None
    playback_policy: PlaybackPolicy = PlaybackPolicy.PUBLIC
    source: RemoteSource | None = None  # None: the source is uploaded
    profile: str = profiles.DEFAULT  # of the encode that starts at once with a remote source
    options: EncodeOptions = USUAL
    loudness: LoudnessTarget | None = None  # of that encode
    labels: Mapping[str, str] = field(default_factory=dict)
    external_id: str = ""

    @property
    def fingerprint(self) -> str:
        """A hash that is equal for equal requests, to bind request_id to the content of its request."""
        content: tuple[object, ...] = (self.title, self.user_id, self.content_type, self.size_bytes)
        if self.playback_policy is not PlaybackPolicy.PUBLIC:  # requests of earlier releases have none
            content += (self.playback_policy.value,)
        if self.source is not None:
            content += (self.source.url, self.source.key, self.profile)
        if self.options != USUAL:
            content += (repr(self.options),)
        if self.loudness is not None:
            content += (self.loudness.value,)
        if self.labels or self.external_id:
            content += (sorted(self.labels.items()), self.external_id)
        return sha256(repr(content).encode()).hexdigest()

    def new_video(self, caller: Principal) -> NewVideo:
        """Returns the video to insert, with a new id."""
        return NewVideo(
            id=new_id(),
            user_id=self.user_id,
            title=self.title,
            content_type=self.content_type,
            size_bytes=self.size_bytes,
            request_id=self.request_id,
            fingerprint=self.fingerprint,
            playback_policy=self.playback_policy,
            created_by=caller.id,
            labels=self.labels,
            external_id=self.external_id,
        )


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
        ExternalIdInUseError, QuotaExceededError, and UploadClosedError if the earlier video no longer accepts
        an upload.
        """
        call = Call("CreateVideo", caller, origin)
        draft = replace(draft, user_id=caller.owner_of_new(draft.user_id))
        new = draft.new_video(caller)
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
        self,
        caller: Principal,
        origin: Origin,
        video_id: UUID,
        *,
        profile: str,
        options: EncodeOptions = USUAL,
        loudness: LoudnessTarget | None = None,
        request_id: str | None,
    ) -> Video:
        """Start an encode of the uploaded source, unless one is running or `request_id` started one before.

        A source that was never fetched from its URL is fetched first. Raises VideoNotFoundError,
        SourceNotUploadedError, SourceUnreachableError, SourceTooLargeError, AlreadyProcessingError,
        RequestIdReusedError, QueueFullError and QuotaExceededError.
        """
        call = Call("TriggerProcess", caller, origin)
        video = await self._database.videos.get(video_id, owner=caller.sees)
        size = 0
        if video.status is not VideoStatus.PROCESSING:
            size = await require_source(
                self._database, self._store, video_id, limit_bytes=self._limits.source_max_bytes
            )
            await self._limits.quotas.require_room(
                self._database.encodes, video.user_id, queue_limit=self._limits.queue_limit
            )
        async with self._database.transaction() as transaction:
            encode = await transaction.encodes.start_encode(
                video_id,
                profile=profile,
                loudness=loudness,
                options=options,
                request_id=request_id,
                owner=caller.sees,
            )
            if encode is not None:
                turn = await self._limits.quotas.require_encode(transaction, video, source_size=size)
                source = await transaction.remote_sources.get(video_id)
                await transaction.jobs.enqueue(first_job(encode, source), turn=turn)
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

        Raises VideoNotFoundError, ExternalIdInUseError, and EtagMismatchError if `etag` is given and differs.
        """
        call = Call("UpdateVideo", caller, origin)
        async with self._database.transaction() as transaction:
            video, is_changed = await transaction.videos.update(
                video_id, changes, version=version_of(etag), owner=caller.sees
            )
            if is_changed and "expires_at" in changes.fields and video.expires_at is not None:
                job = ExpireJob(video_id=video_id, expires_at=video.expires_at)
                await transaction.jobs.enqueue(job, delay=expiry_delay(video.expires_at))
            await transaction.trail.add(
                call.changed(video_id, _changed(video, changes.fields))
                if is_changed
                else call.unchanged(video_id, SAME_VALUES)
            )
        await self._announcer.announce(video_id, video.version)
        if "playback_policy" in changes.fields:
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


def _changed(video: Video, fields: frozenset[str]) -> Mapping[str, str | int]:
    """Returns what the trail keeps of an update: the names of its fields, and values without free text."""
    values: dict[str, str | int] = {"fields": ",".join(sorted(fields))}
    if "playback_policy" in fields:
        values |= {"playback_policy": video.playback_policy.value, "playback_epoch": video.playback_epoch}
    if "expires_at" in fields:
        values["expires_at"] = video.expires_at.isoformat() if video.expires_at else ""
    return values
