"""The quotas of owners, checked after a write and before its commit, and the order of their encodes."""

from dataclasses import dataclass

from gostream_shared.domain.errors import QueueFullError, QuotaExceededError
from gostream_shared.domain.quotas import SOURCE, Quota
from gostream_shared.domain.repositories import EncodeRepository, Transaction
from gostream_shared.domain.video import Video


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """The limits of every owner; 0 = no limit. The first three may differ for single owners.

    Without authentication no one proves who the owner is: then use no limits.
    """

    videos: int = 0
    stored_bytes: int = 0
    encodes: int = 0
    waiting_encodes: int = 0

    async def require_video(self, transaction: Transaction, owner: str) -> None:
        """Raise QuotaExceededError if the video that this transaction created exceeds a quota."""
        await self._require(transaction, owner, Quota.VIDEOS, Quota.STORED_BYTES)

    async def require_stored(self, transaction: Transaction, owner: str) -> None:
        """Raise QuotaExceededError if the bytes that this transaction recorded exceed the quota."""
        await self._require(transaction, owner, Quota.STORED_BYTES)

    async def require_encode(self, transaction: Transaction, video: Video, *, source_size: int) -> int:
        """Record the source of the encode that this transaction started. Returns the turn of the encode.

        Raises QuotaExceededError.
        """
        if source_size:
            await transaction.usages.note_stored(video.id, SOURCE, source_size)
        await self._require(transaction, video.user_id, Quota.ENCODES, Quota.STORED_BYTES)
        return await transaction.usages.next_turn(video.user_id)

    async def require_room(self, encodes: EncodeRepository, owner: str, *, queue_limit: int) -> None:
        """Raise QueueFullError if too many encodes wait. Concurrent calls may exceed it by their number."""
        if await encodes.count_waiting(at_most=queue_limit) >= queue_limit:
            raise QueueFullError
        own = self.waiting_encodes
        if own and await encodes.count_waiting(at_most=own, owner=owner) >= own:
            raise QueueFullError(of_owner=True)

    async def _require(self, transaction: Transaction, owner: str, *quotas: Quota) -> None:
        """Concurrent writes of one owner pass one after the other, so that together they stay within a limit.

        Without limits they do not wait for each other.
        """
        if not (self.videos or self.stored_bytes or self.encodes):
            return
        usage = await transaction.usages.locked(owner)
        for quota in quotas:
            limit = usage.limits.get(quota, getattr(self, quota))
            if limit and usage.used.get(quota, 0) > limit:
                raise QuotaExceededError(owner, quota, limit)
