"""Changes the gates of videos whose row changed, if the writer did not do it itself."""

import asyncio
from uuid import UUID

import structlog

from gostream_shared.concurrency import task_group, wait_at_most
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.playback import GateChanges
from gostream_shared.storage.gates import Gates
from gostream_worker.metrics import GATES_WAITING

_log = structlog.stdlib.get_logger("gostream.gates")

#: Seconds between two looks. Edges keep an answer for 3 s more, and 5 s are promised in all.
_PERIOD = 1.0
#: The same while the database does not answer, or is not migrated yet.
_OUTAGE_PERIOD = 3.0
#: Videos per look, concurrent ones among them, and the largest number of changes that is counted.
_BATCH = 200
_AT_ONCE = 4
_COUNTED = 100_000


class GateKeeper:
    """Makes gates equal to rows. Any number of workers may run it."""

    def __init__(self, changes: GateChanges, gates: Gates) -> None:
        self._changes = changes
        self._gates = gates
        #: Videos whose gates may have been changed by a request that this process gave up.
        self._unsure: set[UUID] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Looks periodically until `stop` is called."""
        while not self._stopping.is_set():
            try:
                pause = 0.0 if await self.keep() == _BATCH else _PERIOD
            except BackendUnavailableError as error:
                _log.warning("gates not examined", error=str(error))
                pause = _OUTAGE_PERIOD
            await wait_at_most(self._stopping, pause)

    def stop(self) -> None:
        """Ends `run` after the current look."""
        self._stopping.set()

    async def keep(self) -> int:
        """Changes the gates of the videos that are due. Returns their number.

        Raises BackendUnavailableError.
        """
        GATES_WAITING.set(await self._changes.count_due(at_most=_COUNTED))
        due = await self._changes.due(_BATCH)
        room = asyncio.Semaphore(_AT_ONCE)
        async with task_group() as tasks:
            for video_id in {*due, *self._unsure}:
                tasks.create_task(self._keep_one(video_id, room))
        return 0 if self._unsure else len(due)

    async def _keep_one(self, video_id: UUID, room: asyncio.Semaphore) -> None:
        async with room:
            try:
                await self._gates.sync(video_id)
            except BackendUnavailableError:
                self._unsure.add(video_id)  # the cause is in the log
            else:
                self._unsure.discard(video_id)
