"""Upload sessions, the arithmetic of their parts, and the expiry times of upload URLs."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

_MIB = 1 << 20
_LEAST_PART = 8 * _MIB
#: S3 allows 10,000 parts.
_MOST_PARTS = 9000


class UploadState(enum.StrEnum):
    """The state of a session. The names are those of the API's enum without the prefix."""

    OPEN = "OPEN"
    COMPLETED = "COMPLETED"
    ABORTED = "ABORTED"
    EXPIRED = "EXPIRED"


def part_size_of(size_bytes: int) -> int:
    """Returns the size of the parts of a source: whole MiB, at least 8, at most 9,000 parts."""
    needed = -(-size_bytes // _MOST_PARTS)
    return max(_LEAST_PART, -(-needed // _MIB) * _MIB)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSession:
    """The session of a video. Sizes in bytes.

    `store_upload_id` names the multipart upload in the store; each generation has its own.
    """

    video_id: UUID
    state: UploadState
    generation: int
    store_upload_id: str
    size_bytes: int
    part_size: int
    expires_at: datetime

    @property
    def part_count(self) -> int:
        return -(-self.size_bytes // self.part_size)

    def size_of(self, number: int) -> int:
        """Returns the size of a part, whose number is 1 to `part_count`."""
        return min(self.part_size, self.size_bytes - (number - 1) * self.part_size)


class UploadSessions(Protocol):
    """The sessions in the database of record. A session never changes the version of its video.

    Every method raises BackendUnavailableError.
    """

    async def get(self, video_id: UUID) -> UploadSession | None:
        """Returns the session of the video, of any owner. An open session past its expiry is EXPIRED."""
        ...

    async def declared_size(self, video_id: UUID) -> int | None:
        """Returns the size of the source in bytes as CreateVideo had it; None without one."""
        ...

    async def begin(self, session: UploadSession, *, expires_in: timedelta) -> UploadSession | None:
        """Insert the first session of a video, or replace one that is not open and one generation older.

        `expires_at` becomes now + `expires_in`. Returns None if the video has another session now, is not in
        PENDING_UPLOAD, or is deleted.
        """
        ...

    async def end(
        self, video_id: UUID, generation: int, state: UploadState, *, after: Sequence[UploadState]
    ) -> bool:
        """Change the state of the session if it is one of `after`. Returns False if it is not."""
        ...

    async def open_among(self, store_upload_ids: Sequence[str]) -> set[str]:
        """Returns those of the store's upload ids that belong to an open session."""
        ...


class Uploads(Protocol):
    """Expiry times of upload URLs. Every method raises BackendUnavailableError."""

    async def note_url(self, video_id: UUID, *, expires_in: timedelta) -> None:
        """Record an upload URL that expires in `expires_in`; the latest expiry counts."""
        ...

    async def delete_abandoned(self, *, expired_for: timedelta, limit: int) -> tuple[int, dict[UUID, int]]:
        """Delete videos in PENDING_UPLOAD whose URLs expired at least `expired_for` ago.

        Examines the `limit` oldest uploads. Returns the number of examined uploads, and the tombstone
        versions by video id. Returns (0, {}) while another transaction does the same.
        """
        ...
