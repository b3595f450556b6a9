"""The parts and the source of an upload session in the object store."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from gostream_shared.domain.errors import UploadClosedError, UploadExpiredError, UploadIncompleteError
from gostream_shared.domain.object_keys import source_key
from gostream_shared.domain.uploads import UploadSession, UploadSessions, UploadState
from gostream_shared.storage.port import MultipartEndedError, ObjectNotFoundError, ObjectStore, StoredPart

ABORTED = "has no open upload session: it was aborted, or the store has lost its parts"
STORED = "has its source"


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """A session and the parts that the store has."""

    session: UploadSession
    parts: Sequence[StoredPart] = ()


def missing_parts(session: UploadSession, stored: Sequence[StoredPart]) -> list[int]:
    """Returns the numbers of the parts that are absent or have another size than the session requires."""
    sizes = {part.number: part.size for part in stored}
    return [
        number for number in range(1, session.part_count + 1) if sizes.get(number) != session.size_of(number)
    ]


def require_open(session: UploadSession) -> None:
    """Raise UploadExpiredError or UploadClosedError unless the session is open."""
    if session.state is UploadState.EXPIRED:
        raise UploadExpiredError(session.video_id)
    if session.state is not UploadState.OPEN:
        why = STORED if session.state is UploadState.COMPLETED else ABORTED
        raise UploadClosedError(session.video_id, why)


class StoredParts:
    """Compares sessions with the store. Every method raises BackendUnavailableError."""

    def __init__(self, store: ObjectStore, sessions: UploadSessions) -> None:
        self._store = store
        self._sessions = sessions

    async def status(self, session: UploadSession) -> SessionStatus:
        """Returns the session with its parts.

        The state is COMPLETED if the source is stored, even if CompleteUpload was interrupted after that. It
        is ABORTED if the store does not know the upload of an open session.
        """
        state = session.state
        if state is UploadState.OPEN:
            try:
                parts = await self._store.list_parts(source_key(session.video_id), session.store_upload_id)
            except MultipartEndedError:
                state = UploadState.ABORTED
            else:
                return SessionStatus(session, _of(session, parts))
        if await self.size_of_source(session.video_id) == session.size_bytes:
            state = UploadState.COMPLETED
        return SessionStatus(replace(session, state=state))

    async def complete(self, session: UploadSession) -> None:
        """Make the parts the source, unless it is stored already.

        Raises UploadIncompleteError, and UploadExpiredError or UploadClosedError if the session has ended
        without a source.
        """
        if session.state is UploadState.COMPLETED:
            return
        key = source_key(session.video_id)
        try:
            if session.state is UploadState.OPEN:
                parts = await self._store.list_parts(key, session.store_upload_id)
                if missing := missing_parts(session, parts):
                    raise UploadIncompleteError(session.video_id, missing)
                await self._store.complete_multipart(key, session.store_upload_id, _of(session, parts))
                return
        except MultipartEndedError:
            pass  # an earlier call completed it, it ended during this call, or the source was sent by one PUT
        if await self.size_of_source(session.video_id) != session.size_bytes:
            require_open(await self._sessions.get(session.video_id) or session)
            raise UploadClosedError(session.video_id, ABORTED)
        await self._store.abort_multipart(key, session.store_upload_id)

    async def size_of_source(self, video_id: UUID) -> int | None:
        """Returns the size of the stored source in bytes, None if there is no source."""
        try:
            return (await self._store.head(source_key(video_id))).size
        except ObjectNotFoundError:
            return None


def _of(session: UploadSession, parts: Sequence[StoredPart]) -> list[StoredPart]:
    return [part for part in parts if part.number <= session.part_count]
