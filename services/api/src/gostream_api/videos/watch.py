"""Following a video: told by the bus what happened, and by the database when the bus cannot be trusted."""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass, replace
from time import monotonic
from typing import TypeVar
from uuid import UUID

from gostream_api.reads.singleflight import SingleFlight
from gostream_shared.cache.ports import Subscription, Update, VideoEvents
from gostream_shared.domain.encode import Encode, Progress
from gostream_shared.domain.errors import ServerStoppingError
from gostream_shared.domain.repositories import Database
from gostream_shared.domain.video import Video, VideoStatus

#: Seconds between looks at the database while the bus cannot be trusted.
POLL_INTERVAL = 1.0
#: Seconds after a gap in which it is not: one that stays down reports a gap more often than that.
DISTRUST = 10.0
#: Seconds of silence after which the video is read and sent again: a sign of life for the client, and the
#: net under a change that nobody announced.
HEARTBEAT = 10.0
#: Looks at the database at once, by all watches together: they must not starve the calls of connections.
MAX_LOOKS = 4

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A video, and how far its encode has come while it is processing."""

    video: Video
    progress: Progress | None


class WatchService:
    """Streams of snapshots, for any number of clients at once."""

    def __init__(self, *, database: Database, events: VideoEvents, heartbeat: float = HEARTBEAT) -> None:
        self._database = database
        self._events = events
        self._heartbeat = heartbeat
        self._looks = asyncio.Semaphore(MAX_LOOKS)
        self._shared: SingleFlight[UUID, Snapshot] = SingleFlight()
        self._waits: set[asyncio.Timeout] = set()
        self._is_stopping = False

    def stop(self) -> None:
        """End every watch, now and later, with ServerStoppingError."""
        self._is_stopping = True
        for wait in self._waits:
            wait.reschedule(0)

    async def watch(self, video_id: UUID) -> AsyncGenerator[Snapshot, None]:
        """The video as it is, then as it becomes, at the reader's pace, until its status is terminal.

        Raises VideoNotFoundError (also when it is deleted meanwhile), BackendUnavailableError and
        ServerStoppingError.
        """
        async with self._events.subscribe(video_id) as subscription:
            view = _View(await self._look(video_id))
            while True:
                yield view.snapshot
                if view.snapshot.video.status.is_terminal:
                    return
                await self._change(view, subscription)

    async def _change(self, view: "_View", subscription: Subscription) -> None:
        """Return when the view has something new to show, or was silent for a heartbeat."""
        before, silent_until = view.snapshot, self._next_beat(view.snapshot.video.id)
        while view.snapshot == before and (patience := silent_until - monotonic()) > 0:
            is_blind = monotonic() < view.blind_until
            update = await self._until_stop(
                subscription.wait(min(patience, POLL_INTERVAL) if is_blind else patience)
            )
            if is_blind and update.gap:  # a bus that is down says so again and again
                await self._until_stop(asyncio.sleep(POLL_INTERVAL))
            view.hear(update)
            if view.is_outdated_by(update):
                view.see(await self._look(before.video.id))

    async def _until_stop(self, awaitable: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(0 if self._is_stopping else None) as wait:
                self._waits.add(wait)
                try:
                    return await awaitable
                finally:
                    self._waits.discard(wait)
        except TimeoutError:
            raise ServerStoppingError from None

    def _next_beat(self, video_id: UUID) -> float:
        """When a silent watch looks: in half a heartbeat to a whole one, with the others of its video."""
        half = self._heartbeat / 2
        phase = video_id.int % 997 / 997 * half  # not all videos at once
        return math.ceil((monotonic() + half - phase) / half) * half + phase

    async def _look(self, video_id: UUID) -> Snapshot:
        """The video as it is no earlier than now. All who ask meanwhile share the next look."""
        return await self._shared.run_since(
            self._shared.mark, video_id, lambda: self._read(video_id), is_enough=lambda _: False
        )

    async def _read(self, video_id: UUID) -> Snapshot:
        async with self._looks:
            video = await self._database.videos.get(video_id)
            if video.status is not VideoStatus.PROCESSING:
                return Snapshot(video, None)
            return Snapshot(video, await self._database.encodes.progress(video_id, video.encode_number))


class _View:
    """What one watch knows. Within one encode its percent never falls, whoever says what in which order."""

    def __init__(self, seen: Snapshot) -> None:
        self.snapshot = seen
        #: Changes may go unheard before that moment.
        self.blind_until = 0.0
        self._heard = (seen.video.attempt, _percent(seen.progress))

    def hear(self, update: Update) -> None:
        """Take what the bus says."""
        if update.progress is not None:
            self._hear_progress(*update.progress)
        if update.gap:
            self.blind_until = monotonic() + DISTRUST

    def is_outdated_by(self, update: Update) -> bool:
        """Whether only the database knows the rest."""
        is_newer = update.version is not None and update.version > self.snapshot.video.version
        return is_newer or update.gap or update.is_empty

    def see(self, seen: Snapshot) -> None:
        """Take what the database says."""
        if seen.video.encode_number != self.snapshot.video.encode_number:
            self._heard = (0, 0.0)
            self.snapshot = Snapshot(seen.video, None)
        else:
            self.snapshot = replace(self.snapshot, video=seen.video)
        if seen.progress is not None:
            self._take(seen.video.attempt, seen.progress)

    def _hear_progress(self, encode: Encode, progress: Progress) -> None:
        video = self.snapshot.video
        if video.status is VideoStatus.PROCESSING and encode.number == video.encode_number:
            self._take(encode.attempt, progress)

    def _take(self, attempt: int, progress: Progress) -> None:
        if (attempt, progress.percent) < self._heard:
            return  # older than what was shown
        self._heard = (attempt, progress.percent)
        percent = max(progress.percent, _percent(self.snapshot.progress))
        self.snapshot = replace(self.snapshot, progress=replace(progress, percent=percent))


def _percent(progress: Progress | None) -> float:
    return progress.percent if progress is not None else 0.0
