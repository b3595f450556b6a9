"""Reports the progress of one chunk. The database adds up the film; its answer is the fence's heartbeat."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import structlog

from gostream_shared.cache.ports import ProgressPublisher
from gostream_shared.concurrency import task_group
from gostream_shared.domain.companions.chunks import Chunks, ChunkTry
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_worker.encode.progress_parser import EncoderProgress

_log = structlog.stdlib.get_logger("gostream.progress")
#: Seconds between two reports. A cancelled encode ends its chunks within that time.
REPORT_INTERVAL = 1.0


class ChunkReporter:
    """Passes the position of one chunk on."""

    def __init__(self, running: ChunkTry, chunks: Chunks, publisher: ProgressPublisher) -> None:
        self._running = running
        self._chunks = chunks
        self._publisher = publisher
        self._position = 0.0
        self._began = monotonic()
        self._is_over = False

    def note_encoder(self, progress: EncoderProgress) -> None:
        """Records a report of the encoder, except its speed: that is of a run from the film's start."""
        self._position = max(self._position, progress.position or 0.0)

    @asynccontextmanager
    async def reporting(self) -> AsyncIterator[None]:
        """Reports while the block runs. Ends the block with FenceLostError once the fence is lost."""
        async with task_group() as tasks:
            task = tasks.create_task(self._run())
            try:
                yield
            finally:
                self._is_over = True  # a driver may swallow the cancellation
                task.cancel()

    async def report(self, listed: str | None = None) -> None:
        """Reports now. Raises FenceLostError and BackendUnavailableError."""
        passed = monotonic() - self._began
        progress = await self._chunks.report(
            self._running,
            position=self._position,
            speed=self._position / passed if self._position else None,
            listed=listed,
        )
        await self._publisher.publish(self._running.encode, progress)

    async def _run(self) -> None:
        while not self._is_over:
            try:
                await self.report()
            except BackendUnavailableError as error:
                _log.warning("progress not stored", error=str(error))
            await asyncio.sleep(REPORT_INTERVAL)
