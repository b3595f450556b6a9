"""The use cases of UploadService, independent of gRPC and of drivers.

The object store and the database cannot commit together. If a process dies between two steps, a repeated call
continues, and the expiry job or the nightly comparison removes what is left in the store (decision 0158).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from gostream_api.principal import Principal
from gostream_api.uploads.stored_parts import STORED, SessionStatus, StoredParts, require_open
from gostream_api.videos.quotas import Quotas
from gostream_api.videos.trail import SAME_REQUEST, Call, Origin
from gostream_shared.cache.ports import ChangeAnnouncer
from gostream_shared.domain.errors import (
    InvalidRequestError,
    UploadClosedError,
    Violation,
)
from gostream_shared.domain.jobs import ExpireUploadJob, TranscodeJob
from gostream_shared.domain.object_keys import source_key
from gostream_shared.domain.repositories import Database, Transaction
from gostream_shared.domain.uploads import UploadSession, UploadState, part_size_of
from gostream_shared.domain.video import Video, VideoStatus
from gostream_shared.domain.videos.loudness import LoudnessTarget
from gostream_shared.domain.videos.options import USUAL, EncodeOptions
from gostream_shared.storage.port import ObjectStore, PresignedUpload

_NO_SESSION = "has no upload session"
_OTHER_GENERATION = "has an upload session of another generation"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """The limits of this deployment."""

    source_max_bytes: int
    session_ttl: timedelta
    part_ttl: timedelta
    queue_limit: int
    quotas: Quotas = field(default_factory=Quotas)


class UploadService:
    """Uploads in parts. Every method may be repeated.

    Another owner's video does not exist for the caller: VideoNotFoundError comes before any other error.
    Every method raises BackendUnavailableError if the database or the object store does not answer. Every
    write adds one entry to the trail in its transaction; signing parts writes nothing.
    """

    def __init__(
        self, *, database: Database, store: ObjectStore, announcer: ChangeAnnouncer, limits: SessionLimits
    ) -> None:
        self._database = database
        self._store = store
        self._parts = StoredParts(store, database.upload_sessions)
        self._announcer = announcer
        self._limits = limits

    async def create_upload(
        self, caller: Principal, origin: Origin, video_id: UUID, *, size_bytes: int
    ) -> SessionStatus:
        """Open a session, or return the open one. `size_bytes` 0 = the size in CreateVideo.

        Raises VideoNotFoundError, UploadClosedError, and InvalidRequestError if the size is unknown, too
        large or different from an earlier one.
        """
        call = Call("CreateUpload", caller, origin)
        video = await self._database.videos.get(video_id, owner=caller.sees)
        if video.status is not VideoStatus.PENDING_UPLOAD:
            raise UploadClosedError(video_id)
        before = await self._database.upload_sessions.get(video_id)
        status = await self._parts.status(before) if before else None
        size = await self._size(video_id, size_bytes, status)
        if status and status.session.state is UploadState.OPEN:
            async with self._database.transaction() as transaction:
                await transaction.trail.add(call.unchanged(video_id, SAME_REQUEST))
            return status
        if await self._parts.size_of_source(video_id) is not None:
            raise UploadClosedError(video_id, STORED)
        if status and status.session.state is UploadState.ABORTED:  # perhaps only in the store
            await self._database.upload_sessions.end(
                video_id, status.session.generation, UploadState.ABORTED, after=[UploadState.OPEN]
            )
        return await self._begin(call, video, size, generation=before.generation + 1 if before else 1)

    async def get_upload(self, caller: Principal, video_id: UUID) -> SessionStatus:
        """Returns the session with the stored parts. Raises VideoNotFoundError and UploadClosedError."""
        _, session = await self._session(caller, video_id)
        return await self._parts.status(session)

    async def sign_parts(
        self, caller: Principal, video_id: UUID, *, generation: int, parts: Sequence[tuple[int, bytes]]
    ) -> list[PresignedUpload]:
        """Returns one request for each (number, MD5).

        Raises VideoNotFoundError, UploadClosedError, UploadExpiredError, and InvalidRequestError for a number
        above the number of parts.
        """
        _, session = await self._session(caller, video_id, generation=generation)
        require_open(session)
        wrong = [
            Violation(f"parts[{position}].number", f"must be 1 to {session.part_count}")
            for position, (number, _) in enumerate(parts)
            if number > session.part_count
        ]
        if wrong:
            raise InvalidRequestError(*wrong)
        return [
            await self._store.sign_part(
                source_key(video_id),
                session.store_upload_id,
                number=number,
                size_bytes=session.size_of(number),
                md5=md5,
                expires_in=self._limits.part_ttl,
            )
            for number, md5 in parts
        ]

    async def complete_upload(
        self,
        caller: Principal,
        origin: Origin,
        video_id: UUID,
        *,
        generation: int,
        profile: str | None,
        options: EncodeOptions = USUAL,
        loudness: LoudnessTarget | None = None,
    ) -> Video:
        """Make the parts the source. With a profile, start an encode unless the video was processed before.

        Raises VideoNotFoundError, UploadClosedError, UploadExpiredError, UploadIncompleteError,
        QueueFullError and QuotaExceededError.
        """
        call = Call("CompleteUpload", caller, origin)
        video, session = await self._session(caller, video_id, generation=generation)
        if profile is not None and video.status is VideoStatus.PENDING_UPLOAD:
            await self._limits.quotas.require_room(
                self._database.encodes, video.user_id, queue_limit=self._limits.queue_limit
            )
        await self._parts.complete(session)
        async with self._database.transaction() as transaction:
            # The source is stored, so this also follows an expiry or an abort during this call.
            is_new = await transaction.upload_sessions.end(
                video_id,
                generation,
                UploadState.COMPLETED,
                after=[UploadState.OPEN, UploadState.EXPIRED, UploadState.ABORTED],
            )
            values: dict[str, str | int | bool] = {
                "upload_state": UploadState.COMPLETED.value,
                "generation": generation,
            }
            started = (
                await self._start_encode(transaction, caller, session, profile, loudness, options)
                if profile
                else {}
            )
            await transaction.trail.add(
                call.changed(video_id, values | started)
                if is_new or started
                else call.unchanged(video_id, SAME_REQUEST)
            )
            video = await transaction.videos.get(video_id, owner=caller.sees)
        if started:
            await self._announcer.announce(video_id, video.version)
        return video

    async def abort_upload(self, caller: Principal, origin: Origin, video_id: UUID) -> UploadSession:
        """End the session and remove its parts. Raises VideoNotFoundError and UploadClosedError."""
        call = Call("AbortUpload", caller, origin)
        _, session = await self._session(caller, video_id)
        if session.state is UploadState.COMPLETED:
            raise UploadClosedError(video_id, STORED)
        async with self._database.transaction() as transaction:
            is_new = await transaction.upload_sessions.end(
                video_id, session.generation, UploadState.ABORTED, after=[UploadState.OPEN]
            )
            values: dict[str, str | int | bool] = {
                "upload_state": UploadState.ABORTED.value,
                "generation": session.generation,
            }
            await transaction.trail.add(
                call.changed(video_id, values) if is_new else call.unchanged(video_id, SAME_REQUEST)
            )
        await self._store.abort_multipart(source_key(video_id), session.store_upload_id)
        return replace(session, state=UploadState.ABORTED) if is_new else session

    async def _begin(self, call: Call, video: Video, size_bytes: int, *, generation: int) -> SessionStatus:
        upload_id = await self._store.create_multipart(video.source_key, content_type=video.content_type)
        wanted = UploadSession(
            video_id=video.id,
            state=UploadState.OPEN,
            generation=generation,
            store_upload_id=upload_id,
            size_bytes=size_bytes,
            part_size=part_size_of(size_bytes),
            expires_at=datetime.now(UTC),
        )
        ttl = self._limits.session_ttl
        # If this fails, its outcome is unknown, so the multipart upload must stay. The nightly comparison
        # aborts it if it has no row.
        async with self._database.transaction() as transaction:
            session = await transaction.upload_sessions.begin(wanted, expires_in=ttl)
            if session is not None:
                job = ExpireUploadJob(
                    video_id=video.id, generation=session.generation, store_upload_id=upload_id
                )
                await transaction.jobs.enqueue(job, delay=ttl)
                await transaction.uploads.note_url(video.id, expires_in=ttl)
                await transaction.trail.add(
                    call.changed(video.id, {"generation": session.generation, "size_bytes": size_bytes})
                )
        if session is not None:
            return SessionStatus(session)
        await self._store.abort_multipart(video.source_key, upload_id)
        # Another call has opened a session, or the video is closed or deleted now.
        status = await self.get_upload(call.caller, video.id)
        if status.session.state is not UploadState.OPEN:
            raise UploadClosedError(video.id)
        return status

    async def _session(
        self, caller: Principal, video_id: UUID, *, generation: int | None = None
    ) -> tuple[Video, UploadSession]:
        """Returns the session of a video. Raises VideoNotFoundError, and UploadClosedError without it."""
        video = await self._database.videos.get(video_id, owner=caller.sees)
        session = await self._database.upload_sessions.get(video_id)
        if session is None:
            raise UploadClosedError(video_id, _NO_SESSION)
        if generation not in (None, session.generation):
            raise UploadClosedError(video_id, _OTHER_GENERATION)
        return video, session

    async def _size(self, video_id: UUID, given: int, status: SessionStatus | None) -> int:
        """Returns the size of the source. Raises InvalidRequestError."""
        declared = await self._database.upload_sessions.declared_size(video_id)
        if status and status.session.state is UploadState.OPEN:
            declared = status.session.size_bytes
        size = given or declared
        if not size or size > self._limits.source_max_bytes:
            most = self._limits.source_max_bytes
            raise InvalidRequestError(Violation("size_bytes", f"must be 1 to {most}: the size of the source"))
        if declared not in (None, size):
            raise InvalidRequestError(
                Violation("size_bytes", "must equal the size in CreateVideo and of the open session")
            )
        return size

    async def _start_encode(
        self,
        transaction: Transaction,
        caller: Principal,
        session: UploadSession,
        profile: str,
        loudness: LoudnessTarget | None,
        options: EncodeOptions,
    ) -> dict[str, str | int | bool]:
        """Start an encode if the video waits for its first one. Returns the changed values."""
        video_id = session.video_id
        video = await transaction.videos.get(video_id, owner=caller.sees)
        if video.status is not VideoStatus.PENDING_UPLOAD:
            return {}
        encode = await transaction.encodes.start_encode(
            video_id, profile=profile, loudness=loudness, options=options, owner=caller.sees
        )
        if encode is None:
            return {}
        turn = await self._limits.quotas.require_encode(transaction, video, source_size=session.size_bytes)
        await transaction.jobs.enqueue(TranscodeJob(video_id=video_id, number=encode.number), turn=turn)
        return {
            "status": VideoStatus.PROCESSING.value,
            "profile": profile,
            "encode_number": encode.number,
        }
