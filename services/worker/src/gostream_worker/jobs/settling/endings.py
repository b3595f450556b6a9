"""The ends of encodes: failures, and what lost attempts leave behind."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import structlog

from gostream_shared.cache.ports import ChangeAnnouncer
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.errors import BackendUnavailableError, VideoNotFoundError
from gostream_shared.domain.jobs import RemoveJob
from gostream_shared.domain.repositories import Database
from gostream_shared.domain.video import Video, VideoStatus
from gostream_worker.failures import ProcessingFailedError

_log = structlog.stdlib.get_logger("gostream.attempts")

#: Delay before leftovers are removed.
_LEFTOVERS_DELAY = timedelta(minutes=10)


class Endings:
    """Ends encodes, tells their viewers, and schedules the removal of their objects."""

    def __init__(
        self,
        database: Database,
        announcer: ChangeAnnouncer,
        end_early: Callable[[UUID, int], Awaitable[None]],
    ) -> None:
        self._database = database
        self._announcer = announcer
        self._end_early = end_early

    async def mark_failed(self, encode: Encode, error: ProcessingFailedError) -> None:
        """Marks the video FAILED. Raises FenceLostError and BackendUnavailableError."""
        async with self._database.transaction() as transaction:
            video = await transaction.encodes.mark_video_failed(
                encode, error.failure, log_tail=error.log_tail
            )
            leftovers = RemoveJob(video_id=encode.video_id, number=encode.number)
            await transaction.jobs.enqueue(leftovers, delay=_LEFTOVERS_DELAY)
        await self._announcer.announce(video.id, video.version)
        await self._tell_early_viewers(encode.video_id, encode.number)

    async def lost(self, video_id: UUID, number: int) -> None:
        """Notes a lost fence: the encode is over, cancelled, deleted, or taken over.

        Schedules cleanup of objects uploaded since.
        """
        _log.info("fence lost", video_id=str(video_id), encode=number)
        try:
            video, leftovers = await self._leftovers(video_id, number)
            if leftovers:
                async with self._database.transaction() as transaction:
                    await transaction.jobs.enqueue(leftovers, delay=_LEFTOVERS_DELAY)
                    if video and _is_taken_down(video):  # immediately: this attempt has stopped writing
                        await transaction.jobs.enqueue(replace(leftovers, turn=2))
                await self._tell_early_viewers(video_id, number)
        except BackendUnavailableError as error:
            _log.warning("cleanup of leftovers not scheduled", error=str(error))

    async def _leftovers(self, video_id: UUID, number: int) -> tuple[Video | None, RemoveJob | None]:
        """Returns the video and the job that removes leftovers of the encode.

        No job while the encode is PROCESSING, or if it was published before the latest encode.
        """
        try:
            video = await self._database.videos.get(video_id)
        except VideoNotFoundError:
            return None, RemoveJob(video_id=video_id)
        if video.encode_number != number:
            is_old = video.published_number == number
            return video, None if is_old else RemoveJob(video_id=video_id, number=number)
        if video.status is VideoStatus.PROCESSING:
            return video, None
        published = video.attempt if video.published_number == number else None
        return video, RemoveJob(video_id=video_id, number=number, published_attempt=published)

    async def _tell_early_viewers(self, video_id: UUID, number: int) -> None:
        """Ends the early playback playlists. Best effort: their segments are removed soon."""
        try:
            await self._end_early(video_id, number)
        except BackendUnavailableError as error:
            _log.warning("early playback playlists not ended", error=str(error))


def _is_taken_down(video: Video) -> bool:
    """Returns whether the video was cancelled before it was ever READY.

    Its objects are then removed immediately.
    """
    return video.status is VideoStatus.CANCELLED and video.published_number is None
