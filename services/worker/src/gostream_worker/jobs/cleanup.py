"""Removes objects that nothing refers to any more."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import structlog

from gostream_shared.domain.companions.added_tracks import AddedState
from gostream_shared.domain.errors import BackendUnavailableError, VideoNotFoundError
from gostream_shared.domain.jobs import RemoveJob
from gostream_shared.domain.object_keys import (
    encode_prefix,
    gate_prefix,
    hls_prefix,
    master_key,
    track_key,
    uploads_prefix,
)
from gostream_shared.domain.repositories import Database
from gostream_shared.domain.video import Video, VideoStatus
from gostream_shared.storage.port import ObjectNotFoundError, ObjectStore
from gostream_worker.jobs.verdict import DONE, Verdict
from gostream_worker.metrics import REMOVED_OBJECTS, count_job
from gostream_worker.object_names import added_folder, is_of_attempt, playlist_name, segment_names
from gostream_worker.retry import LONGEST_PAUSE

#: Delay before the next check of an encode that viewers may still play.
_STILL_PLAYED = timedelta(days=1)

_log = structlog.stdlib.get_logger("gostream.removal")


class Removal:
    """Runs RemoveJobs. Checks for references immediately before the objects are removed.

    Bytes are subtracted from the usage of the owner after their objects are gone.
    """

    def __init__(self, database: Database, store: ObjectStore) -> None:
        self._videos = database.videos
        self._deletions = database.deletions
        self._usages = database.usages
        self._tracks = database.added_tracks
        self._store = store

    async def remove(self, job: RemoveJob) -> Verdict:
        """Handles one delivery of a job.

        If a backend is unavailable, it is retried every minute without limit.
        """
        try:
            if job.track is not None:
                return await self._remove_track(job)
            if job.number is None:
                return await self._remove_all(job.video_id)
            if job.published_attempt is None:
                return await self._remove_encode(job.video_id, job.number)
            await self._remove_leftovers(job.video_id, job.number, job.published_attempt)
        except BackendUnavailableError as error:
            _log.warning("removal postponed", video_id=str(job.video_id), error=str(error))
            count_job("remove", "postponed")
            return Verdict(timedelta(seconds=LONGEST_PAUSE))
        count_job("remove", "done")
        return DONE

    async def _remove_all(self, video_id: UUID) -> Verdict:
        remaining = await self._deletions.end_retention(video_id)
        if remaining:
            count_job("remove", "postponed")
            return Verdict(remaining)
        if remaining is None:
            _log.info("not removed: the video exists", video_id=str(video_id))
        else:
            await self._remove_below(gate_prefix(video_id))
            await self._remove_below(hls_prefix(video_id))
            await self._remove_below(uploads_prefix(video_id))
            await self._usages.forget_stored(video_id)
        count_job("remove", "done")
        return DONE

    async def _remove_track(self, job: RemoveJob) -> Verdict:
        """Removes a deleted track, or one whose file was not uploaded in time."""
        video_id, track_id = job.video_id, job.track
        assert track_id is not None  # noqa: S101 - the caller checks
        await self._tracks.delete(video_id, track_id, only=AddedState.UPLOADING)
        if await self._tracks.get(video_id, track_id) is None:
            await self._remove_below(track_key(video_id, track_id))
            folder = f"/{added_folder(track_id)}/"
            await self._remove_below(hls_prefix(video_id), lambda key: folder in key)
            await self._usages.forget_stored(video_id, job.number)
        count_job("remove", "done")
        return DONE

    async def _remove_encode(self, video_id: UUID, number: int) -> Verdict:
        try:
            video = await self._videos.get_restorable(video_id)
        except VideoNotFoundError:
            video = None
        if video and await self._is_played(video, number):
            count_job("remove", "postponed")
            return Verdict(_STILL_PLAYED)
        if not (video and _is_current(video, number)):
            await self._remove_below(encode_prefix(video_id, number))
            await self._usages.forget_stored(video_id, number)
        count_job("remove", "done")
        return DONE

    async def _remove_leftovers(self, video_id: UUID, number: int, published: int) -> None:
        """Removes the objects of the renditions that no playlist of the published attempt names.

        Lost tries of chunks leave some too. Other objects are the same in every attempt.
        """
        prefix = encode_prefix(video_id, number)
        named: dict[str, frozenset[str]] = {}
        async for found in self._store.list(prefix):
            folder, _, name = found.key.rpartition("/")
            if name == playlist_name(published):
                named[folder] = segment_names(await self._store.get(found.key))

        def goes(key: str) -> bool:
            folder, _, name = key.rpartition("/")
            if "/" not in key.removeprefix(prefix):
                return False
            if name.endswith(".ts"):
                return name not in named.get(folder, ())
            return not is_of_attempt(name, published)

        await self._remove_below(prefix, goes)

    async def _is_played(self, video: Video, number: int) -> bool:
        """Returns whether the master playlist names an encode that the row does not list as published.

        Its worker died between writing the master playlist and the commit, and so did every later attempt.
        """
        if video.published_number in (None, number):
            return False
        try:
            master = await self._store.get(master_key(video.id))
        except ObjectNotFoundError:
            return False
        return f"v{number}/".encode() in master

    async def _remove_below(self, prefix: str, goes: Callable[[str], bool] = lambda _: True) -> None:
        await self._store.abort_multipart_uploads(prefix)
        keys = [found.key async for found in self._store.list(prefix) if goes(found.key)]
        await self._store.delete(keys)
        REMOVED_OBJECTS.inc(len(keys))
        _log.info("removed", prefix=prefix, objects=len(keys))


def _is_current(video: Video, number: int) -> bool:
    """Returns whether the encode is in progress or published. A deletion ends what is in progress."""
    at_work = (
        video.status is VideoStatus.PROCESSING and video.encode_number == number and not video.deleted_at
    )
    return at_work or video.published_number == number
