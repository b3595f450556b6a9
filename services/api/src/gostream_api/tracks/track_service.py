"""The use cases of TrackService, independent of gRPC and of drivers.

Rows are changed here; a job makes the published stream follow them (decision 0188). Each write commits with
the jobs that continue it, so a process that dies between two steps leaves nothing behind.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from uuid import UUID, uuid4

from gostream_api.principal import Principal
from gostream_api.videos.ids import new_id
from gostream_api.videos.quotas import Quotas
from gostream_api.videos.trail import SAME_REQUEST, SAME_VALUES, Call, Origin
from gostream_shared.domain.companions.added_tracks import (
    MOST_TEXTS,
    AddedState,
    AddedTrack,
    TrackChanges,
)
from gostream_shared.domain.errors import (
    SourceNotUploadedError,
    SourceUrlRefusedError,
    TooManyTracksError,
    TrackNotFoundError,
    VideoNotFoundError,
)
from gostream_shared.domain.jobs import FetchTrackJob, PublishTracksJob, RemoveJob
from gostream_shared.domain.object_keys import track_key
from gostream_shared.domain.repositories import Database, Transaction
from gostream_shared.domain.tracks import Track, TrackKind, TrackState
from gostream_shared.domain.video import Video
from gostream_shared.egress.guard import EgressGuard, UrlRefusedError
from gostream_shared.storage.port import ObjectNotFoundError, ObjectStore, PresignedUpload

#: The store keeps any bytes; the worker detects their format.
_CONTENT_TYPE = "application/octet-stream"
#: A file may be on its way when its URL expires.
_UNTIL_REMOVED = timedelta(hours=1)
#: Viewers keep what they play, for at least this long.
_VIEWING = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackDraft:
    """The arguments of AddTrack. `url`: empty for an upload of `size_bytes`."""

    video_id: UUID
    language: str
    name: str
    is_default: bool
    is_forced: bool
    is_sdh: bool
    url: str = ""
    size_bytes: int = 0
    request_id: str | None = None

    @property
    def fingerprint(self) -> str:
        """A hash that is equal for equal requests, to bind request_id to the content of its request."""
        content = (
            self.language,
            self.name,
            self.is_default,
            self.is_forced,
            self.is_sdh,
            self.url,
            self.size_bytes,
        )
        return sha256(repr(content).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackLimits:
    """The limits of this deployment."""

    upload_url_ttl: timedelta
    quotas: Quotas = field(default_factory=Quotas)


@dataclass(frozen=True, slots=True)
class ShownTrack:
    """A track as the API shows it, with its video."""

    video: Video
    track: Track


class TrackService:
    """Adds, changes and removes subtitles. Every method may be repeated.

    Another owner's video does not exist for the caller: VideoNotFoundError comes before any other error.
    Every method raises BackendUnavailableError if the database or the object store does not answer. Every
    write adds one entry to the trail in its transaction, and none changes the version of the video: the job
    does, if the stream changes.
    """

    def __init__(
        self, *, database: Database, store: ObjectStore, guard: EgressGuard, limits: TrackLimits
    ) -> None:
        self._database = database
        self._store = store
        self._guard = guard
        self._limits = limits

    async def add_track(
        self, caller: Principal, origin: Origin, draft: TrackDraft
    ) -> tuple[ShownTrack, PresignedUpload | None]:
        """Add a track, or find the one that this request_id added.

        Returns the request that uploads the file, None if the file comes from a URL or is stored. Raises
        SourceUrlRefusedError, RequestIdReusedError, TooManyTracksError and QuotaExceededError.
        """
        call = Call("AddTrack", caller, origin)
        await self._database.videos.get(draft.video_id, owner=caller.sees)
        new = self._new(draft)
        async with self._database.transaction() as transaction:
            video = await _locked(transaction, draft.video_id)
            track, is_new = await transaction.added_tracks.add(
                new, request_id=draft.request_id, fingerprint=draft.fingerprint
            )
            if is_new:
                await self._require_room(transaction, video, track)
                job, delay = self._first_job(track)
                await transaction.jobs.enqueue(job, delay=delay)
            source = "url" if draft.url else "upload"
            values = {"track": str(track.id), "language": track.language, "source": source}
            await transaction.trail.add(
                call.changed(video.id, values) if is_new else call.unchanged(video.id, SAME_REQUEST)
            )
        return _shown(video, track), await self._upload(track)

    async def prepare_track(
        self, caller: Principal, origin: Origin, video_id: UUID, track_id: UUID
    ) -> ShownTrack:
        """Start the preparation; again if it has not ended, or an encode has published without the track.

        Raises TrackNotFoundError, and SourceNotUploadedError without a file.
        """
        call = Call("PrepareTrack", caller, origin)
        video, track = await self._track(caller, video_id, track_id)
        if track.state is AddedState.UPLOADING:
            await self._require_file(track)
        async with self._database.transaction() as transaction:
            is_new = await transaction.added_tracks.start(video_id, track.id)
            if is_new:
                track = replace(track, state=AddedState.PREPARING)
            if track.url:
                await transaction.jobs.enqueue(FetchTrackJob(video_id=video_id, track_id=track.id))
            elif track.state in (AddedState.PREPARING, AddedState.READY):
                await transaction.jobs.enqueue(_publish(video_id))
            values = {"track": str(track.id), "track_state": track.state.value}
            await transaction.trail.add(
                call.changed(video_id, values) if is_new else call.unchanged(video_id, SAME_REQUEST)
            )
        return _shown(video, track)

    async def update_track(
        self, caller: Principal, origin: Origin, video_id: UUID, track_id: UUID, changes: TrackChanges
    ) -> ShownTrack:
        """Change a track. Raises TrackNotFoundError."""
        call = Call("UpdateTrack", caller, origin)
        _, track = await self._track(caller, video_id, track_id)
        async with self._database.transaction() as transaction:
            video = await _locked(transaction, video_id)
            found = await transaction.added_tracks.update(video_id, track.id, changes)
            if found is None:
                raise TrackNotFoundError(video_id, track_id)
            track, is_changed = found
            if is_changed:
                await transaction.jobs.enqueue(_publish(video_id))
            values = {"track": str(track.id), "fields": ",".join(sorted(changes.fields))}
            await transaction.trail.add(
                call.changed(video_id, values) if is_changed else call.unchanged(video_id, SAME_VALUES)
            )
        return _shown(video, track)

    async def delete_track(self, caller: Principal, origin: Origin, video_id: UUID, track_id: UUID) -> None:
        """Remove a track from the stream, and its objects later. Raises TrackNotFoundError."""
        call = Call("DeleteTrack", caller, origin)
        _, track = await self._track(caller, video_id, track_id)
        async with self._database.transaction() as transaction:
            video = await _locked(transaction, video_id)
            if not await transaction.added_tracks.delete(video_id, track.id):
                raise TrackNotFoundError(video_id, track_id)
            await transaction.jobs.enqueue(_publish(video_id))
            removal = RemoveJob(video_id=video_id, number=track.stored_as, track=track.id, turn=1)
            duration = video.publication.duration if video.publication else timedelta(0)
            await transaction.jobs.enqueue(removal, delay=max(_VIEWING, 2 * duration))
            await transaction.trail.add(
                call.changed(video_id, {"track": str(track.id), "track_deleted": True})
            )

    async def list_tracks(self, caller: Principal, video_id: UUID) -> tuple[Video, Sequence[Track]]:
        """Returns the tracks of the published source, then the added ones, oldest first."""
        video = await self._database.videos.get(video_id, owner=caller.sees)
        added = await self._database.added_tracks.of_video(video_id)
        published = video.publication.tracks if video.publication else ()
        embedded = [track for track in published if track.is_embedded]
        return video, [*embedded, *(_shown(video, track).track for track in added)]

    def _new(self, draft: TrackDraft) -> AddedTrack:
        """Raises SourceUrlRefusedError."""
        url = ""
        if draft.url:
            try:
                url = str(self._guard.check_url(draft.url))
            except UrlRefusedError as error:
                raise SourceUrlRefusedError(str(error)) from None
        return AddedTrack(
            video_id=draft.video_id,
            id=new_id(),
            language=draft.language,
            name=draft.name,
            is_default=draft.is_default,
            is_forced=draft.is_forced,
            is_sdh=draft.is_sdh,
            state=AddedState.PREPARING if url else AddedState.UPLOADING,
            url=url,
            size_bytes=draft.size_bytes,
        )

    def _first_job(self, track: AddedTrack) -> tuple[FetchTrackJob | RemoveJob, timedelta]:
        """Returns what comes next: the file is fetched, or the track removed if no file is uploaded."""
        if track.url:
            return FetchTrackJob(video_id=track.video_id, track_id=track.id), timedelta(0)
        unused = RemoveJob(video_id=track.video_id, number=track.stored_as, track=track.id)
        return unused, self._limits.upload_url_ttl + _UNTIL_REMOVED

    async def _require_room(self, transaction: Transaction, video: Video, track: AddedTrack) -> None:
        """Raises TooManyTracksError and QuotaExceededError."""
        published = video.publication.tracks if video.publication else ()
        embedded = sum(
            each.is_embedded and each.kind is TrackKind.SUBTITLES and each.path is not None
            for each in published
            if each.state is TrackState.READY
        )
        if embedded + len(await transaction.added_tracks.of_video(video.id)) > MOST_TEXTS:
            raise TooManyTracksError(video.id, MOST_TEXTS)
        await transaction.usages.note_stored(video.id, track.stored_as, track.size_bytes)
        await self._limits.quotas.require_stored(transaction, video.user_id)

    async def _upload(self, track: AddedTrack) -> PresignedUpload | None:
        if track.state is not AddedState.UPLOADING:
            return None
        return await self._store.presign_upload(
            track_key(track.video_id, track.id),
            content_type=_CONTENT_TYPE,
            size_bytes=track.size_bytes,
            expires_in=self._limits.upload_url_ttl,
        )

    async def _require_file(self, track: AddedTrack) -> None:
        try:
            await self._store.head(track_key(track.video_id, track.id))
        except ObjectNotFoundError:
            raise SourceNotUploadedError(track.video_id, "file of this track") from None

    async def _track(self, caller: Principal, video_id: UUID, track_id: UUID) -> tuple[Video, AddedTrack]:
        """Raises VideoNotFoundError and TrackNotFoundError."""
        video = await self._database.videos.get(video_id, owner=caller.sees)
        track = await self._database.added_tracks.get(video_id, track_id)
        if track is None:
            raise TrackNotFoundError(video_id, track_id)
        return video, track


async def _locked(transaction: Transaction, video_id: UUID) -> Video:
    video = await transaction.added_tracks.lock_video(video_id)
    if video is None:  # deleted in the meantime
        raise VideoNotFoundError(video_id)
    return video


def _publish(video_id: UUID) -> PublishTracksJob:
    return PublishTracksJob(video_id=video_id, change=uuid4().hex)


def _shown(video: Video, track: AddedTrack) -> ShownTrack:
    published = video.publication.tracks if video.publication else ()
    found = next((each for each in published if each.id == str(track.id)), None)
    return ShownTrack(video, track.described(found))
