"""The use cases DeleteVideo and UndeleteVideo."""

from datetime import timedelta
from uuid import UUID

from gostream_api.principal import Principal
from gostream_api.videos.etags import version_of
from gostream_api.videos.trail import Call, Origin
from gostream_api.videos.video_service import Limits
from gostream_shared.cache.ports import ChangeAnnouncer
from gostream_shared.domain.jobs import ExpireJob, RemoveJob
from gostream_shared.domain.repositories import Database, Transaction
from gostream_shared.domain.video import Video, VideoStatus
from gostream_shared.domain.videos.deletions import REMOVE_DELAY, expiry_delay, removals
from gostream_shared.storage.gates import Gates


class DeletionService:
    """Deletes videos and restores them.

    Another owner's video does not exist for the caller. As in VideoService, every write is announced after
    its commit and adds one entry to the trail. Every method raises BackendUnavailableError.
    """

    def __init__(
        self,
        *,
        database: Database,
        gates: Gates,
        announcer: ChangeAnnouncer,
        limits: Limits,
        retention: timedelta,
    ) -> None:
        self._database = database
        self._gates = gates
        self._announcer = announcer
        self._limits = limits
        self._retention = retention

    async def delete_video(
        self, caller: Principal, origin: Origin, video_id: UUID, *, etag: str, permanent: bool
    ) -> None:
        """Delete a video; jobs remove its objects after the retention, late uploads after their URL expired.

        With `permanent`, it cannot be undeleted, also if it was deleted before. Raises VideoNotFoundError,
        and EtagMismatchError if `etag` is given and differs.
        """
        retention = None if permanent else self._retention
        async with self._database.transaction() as transaction:
            version = await transaction.videos.delete(
                video_id, version=version_of(etag), owner=caller.sees, retention=retention
            )
            for job, delay in removals(
                video_id, version, retention=retention, url_ttl=self._limits.upload_url_ttl
            ):
                await transaction.jobs.enqueue(job, delay=delay)
            values = {"deleted": True, "permanent": True} if permanent else {"deleted": True}
            await transaction.trail.add(Call("DeleteVideo", caller, origin).changed(video_id, values))
        await self._announcer.announce(video_id, version)
        await self._gates.sync_promptly(video_id)

    async def undelete_video(self, caller: Principal, origin: Origin, video_id: UUID, *, etag: str) -> Video:
        """Restore a deleted video. Edges serve it again within seconds, with the same URLs.

        Raises VideoNotFoundError if the retention has ended, VideoNotDeletedError, ExternalIdInUseError,
        QuotaExceededError, and EtagMismatchError if `etag` is given and differs.
        """
        async with self._database.transaction() as transaction:
            video = await transaction.deletions.undelete(
                video_id, version=version_of(etag), owner=caller.sees
            )
            await _resume(transaction, video)
            await self._limits.quotas.require_video(transaction, video.user_id)
            values = {"deleted": False, "status": video.status.value}
            await transaction.trail.add(Call("UndeleteVideo", caller, origin).changed(video_id, values))
        await self._announcer.announce(video_id, video.version)
        await self._gates.sync_promptly(video_id)
        return video


async def _resume(transaction: Transaction, video: Video) -> None:
    """Schedule for a restored video what is scheduled for every other video."""
    if video.status is VideoStatus.PENDING_UPLOAD:  # its abandoned upload is found by this row
        await transaction.uploads.note_url(video.id, expires_in=timedelta(0))
    if video.status is VideoStatus.CANCELLED:  # the worker of a cancelled encode may have died
        leftovers = RemoveJob(video_id=video.id, number=video.encode_number, turn=video.version)
        await transaction.jobs.enqueue(leftovers, delay=REMOVE_DELAY)
    if video.expires_at is not None:
        job = ExpireJob(video_id=video.id, expires_at=video.expires_at)
        await transaction.jobs.enqueue(job, delay=expiry_delay(video.expires_at))
