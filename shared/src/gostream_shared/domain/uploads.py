"""Port to the expiry times of upload URLs."""

from datetime import timedelta
from typing import Protocol
from uuid import UUID


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
