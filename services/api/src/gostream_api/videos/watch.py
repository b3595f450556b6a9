"""WatchVideo: follows a video by the bus, or by the database while the bus cannot be trusted."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from time import monotonic
from uuid import UUID

from gostream_api.principal import Principal
from gostream_api.reads.singleflight import SingleFlight
from gostream_api.waits import Waits
from gostream_shared.cache.ports import Subscription, Update, VideoEvents
from gostream_shared.domain.encode import Encode, Progress
from gostream_shared.domain.errors import UnauthenticatedError
from gostream_shared.domain.repositories import Database
from gostream_shared.domain.video import Video, VideoStatus

#: Seconds between reads of the database while the bus cannot be trusted.
POLL_INTERVAL = 1.0
#: Seconds after a gap during which the bus is not trusted. A bus that stays down reports gaps more often.
DISTRUST = 10.0
#: Seconds of silence after which the video is read and sent again: a heartbeat for the client, which also
#: delivers a change that was never announced.
HEARTBEAT = 10.0
#: Largest number of concurrent reads by all watches, so that other calls still get connections.
MAX_LOOKS = 4


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A video, and the progress of its encode while it is processing."""

    video: Video
    progress: Progress | None


class WatchService:
    """Streams of snapshots for any number of clients."""

    def __init__(self, *, database: Database, events: VideoEvents, heartbeat: float = HEARTBEAT) -> None:
        self._database = database
        self._events = events
        self._heartbeat = heartbeat
        self._looks = asyncio.Semaphore(MAX_LOOKS)
        self._shared: SingleFlight[UUID, Snapshot] = SingleFlight()
        self._waits = Waits()

    def stop(self) -> None:
        """End every watch, now and later, with ServerStoppingError."""
        self._waits.stop()

    async def watch(self, caller: Principal, video_id: UUID) -> AsyncGenerator[Snapshot, None]:
        """Yield the current state, then each change at the reader's pace, until the status is terminal.

        Raises VideoNotFoundError (also if the video is deleted during the watch), UnauthenticatedError when
        the caller's credential expires, BackendUnavailableError and ServerStoppingError.
        """
        async with self._events.subscribe(video_id) as subscription:
            view = _View(await self._look(caller, video_id))
            while True:
                yield view.snapshot
                if view.snapshot.video.status.is_terminal:
                    return
                await self._change(caller, view, subscription)

    async def _change(self, caller: Principal, view: "_View", subscription: Subscription) -> None:
        """Wait for a new snapshot, at most until the next heartbeat or the expiry of the credential."""
        before, silent_until = view.snapshot, self._next_beat(view.snapshot.video.id)
        # Slightly later, so that the wait never ends before the expiry.
        silent_until = min(silent_until, monotonic() + caller.expires_at - time.time() + 0.01)
        while view.snapshot == before and (patience := silent_until - monotonic()) > 0:
            is_distrusted = monotonic() < view.distrust_until
            update = await self._waits.until_stop(
                subscription.wait(min(patience, POLL_INTERVAL) if is_distrusted else patience)
            )
            if is_distrusted and update.gap:  # a bus that is down reports gaps repeatedly
                await self._waits.until_stop(asyncio.sleep(POLL_INTERVAL))
            view.apply_update(update)
            if view.is_outdated_by(update):
                view.apply_snapshot(await self._look(caller, before.video.id))
        if time.time() >= caller.expires_at:
            raise UnauthenticatedError("the token expired during the watch")

    def _next_beat(self, video_id: UUID) -> float:
        """Returns the next heartbeat, in 0.5 to 1 intervals; the same time for all watches of a video."""
        half = self._heartbeat / 2
        phase = video_id.int % 997 / 997 * half  # spreads the videos
        return math.ceil((monotonic() + half - phase) / half) * half + phase

    async def _look(self, caller: Principal, video_id: UUID) -> Snapshot:
        """Read the video with a read that starts now or later. Concurrent callers share the next read."""
        snapshot = await self._shared.run_since(
            self._shared.mark, video_id, lambda: self._read(video_id), is_enough=lambda _: False
        )
        caller.require_sight(snapshot.video)
        return snapshot

    async def _read(self, video_id: UUID) -> Snapshot:
        async with self._looks:
            video = await self._database.videos.get(video_id)
            if video.status is not VideoStatus.PROCESSING:
                return Snapshot(video, None)
            return Snapshot(video, await self._database.encodes.progress(video_id, video.encode_number))


class _View:
    """The state of one watch. Its percentage never falls within one encode, in any order of the messages."""

    def __init__(self, seen: Snapshot) -> None:
        self.snapshot = seen
        #: Messages may be lost until this time.
        self.distrust_until = 0.0
        self._latest = (seen.video.attempt, _percent(seen.progress))

    def apply_update(self, update: Update) -> None:
        """Apply an update of the bus."""
        if update.progress is not None:
            self._apply_progress(*update.progress)
        if update.gap:
            self.distrust_until = monotonic() + DISTRUST

    def is_outdated_by(self, update: Update) -> bool:
        """Returns True if the database must be read for the current state."""
        is_newer = update.version is not None and update.version > self.snapshot.video.version
        return is_newer or update.gap or update.is_empty

    def apply_snapshot(self, seen: Snapshot) -> None:
        """Apply a snapshot of the database."""
        if seen.video.encode_number != self.snapshot.video.encode_number:
            self._latest = (0, 0.0)
            self.snapshot = Snapshot(seen.video, None)
        else:
            self.snapshot = replace(self.snapshot, video=seen.video)
        if seen.progress is not None:
            self._apply(seen.video.attempt, seen.progress)

    def _apply_progress(self, encode: Encode, progress: Progress) -> None:
        video = self.snapshot.video
        if video.status is VideoStatus.PROCESSING and encode.number == video.encode_number:
            self._apply(encode.attempt, progress)

    def _apply(self, attempt: int, progress: Progress) -> None:
        if (attempt, progress.percent) < self._latest:
            return  # older than the shown progress
        self._latest = (attempt, progress.percent)
        percent = max(progress.percent, _percent(self.snapshot.progress))
        self.snapshot = replace(self.snapshot, progress=replace(progress, percent=percent))


def _percent(progress: Progress | None) -> float:
    return progress.percent if progress is not None else 0.0
