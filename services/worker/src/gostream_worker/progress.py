"""Reports progress to watchers and to the database. The database report is also the fence's heartbeat."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from gostream_shared.cache.ports import ProgressPublisher
from gostream_shared.concurrency import task_group
from gostream_shared.domain.encode import ENCODING_PERCENT, Encode, Progress
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.repositories import EncodeRepository
from gostream_worker.encode.progress_parser import EncoderProgress

_log = structlog.stdlib.get_logger("gostream.progress")

#: Seconds between two messages to watchers. The database receives every second one.
PUBLISH_INTERVAL = 0.5
#: Stage → the percentages it spans.
STAGES = {
    "fetching": (0.0, 3.0),
    "probing": (3.0, 5.0),
    "encoding": ENCODING_PERCENT,
    "publishing": (97.0, 100.0),
}


class ProgressReporter:
    """Keeps the latest progress of one attempt and passes it on, conflated."""

    def __init__(
        self, encode: Encode, encodes: EncodeRepository, publisher: ProgressPublisher, *, floor: float = 0.0
    ) -> None:
        self._encode = encode
        self._encodes = encodes
        self._publisher = publisher
        self._floor = floor  # progress of an earlier attempt: the percentage never decreases
        self._progress = Progress(stage="fetching", percent=floor)
        self._is_over = False

    @property
    def stage(self) -> str:
        return self._progress.stage

    def enter(self, stage: str) -> None:
        """Begins a stage."""
        self.note(stage, 0.0)

    def note(
        self, stage: str, fraction: float, *, speed: float | None = None, eta: timedelta | None = None
    ) -> None:
        """Records the completed fraction (0–1) of a stage."""
        start, end = STAGES[stage]
        percent = max(self._floor, self._progress.percent, start + (end - start) * min(1.0, fraction))
        self._progress = Progress(stage=stage, percent=percent, speed=speed, eta=eta)

    def note_encoder(self, duration: float, progress: EncoderProgress) -> None:
        """Records a report of the encoder, for a film of `duration` seconds."""
        position = progress.position or 0.0
        left = (duration - position) / progress.speed if progress.speed else None
        eta = None if left is None else timedelta(seconds=max(0.0, left))
        self.note("encoding", position / duration, speed=progress.speed, eta=eta)

    def note_stored(self, duration: float, position: float) -> None:
        """Records a stored segment that begins at `position`.

        ffmpeg reports nothing until all outputs have data.
        """
        if not self._progress.speed:
            self.note("encoding", position / duration)

    @asynccontextmanager
    async def reporting(self) -> AsyncIterator[None]:
        """Reports while the block runs. Ends the block with FenceLostError once the fence is lost."""
        async with task_group() as tasks:
            task = tasks.create_task(self._run())
            try:
                yield
            finally:
                # A driver may swallow the cancellation. Without this flag the reports would hold the fence
                # indefinitely.
                self._is_over = True
                task.cancel()

    async def _run(self) -> None:
        published: Progress | None = None
        while not self._is_over:
            await self._report()
            for _ in range(2):
                if self._progress != published:
                    published = self._progress
                    await self._publisher.publish(self._encode, published)
                await asyncio.sleep(PUBLISH_INTERVAL)

    async def _report(self) -> None:
        try:
            await self._encodes.report_progress(self._encode, self._progress)
        except BackendUnavailableError as error:
            _log.warning("progress not stored", error=str(error))
