"""A replica process with readers that check every answer."""

import asyncio
import random
from contextlib import AbstractAsyncContextManager
from multiprocessing.connection import Connection
from time import monotonic
from uuid import UUID

import uvloop

from benchmarks.coherence.door import open_door
from benchmarks.coherence.near import open_near
from benchmarks.coherence.spec import Schedule, Spec
from benchmarks.coherence.systems import Reader, open_system
from benchmarks.coherence.tally import Tally
from benchmarks.coherence.version_record import Truth
from gostream_shared.db.connecting.pool import STATEMENT_TIMEOUT
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.db.videos import PostgresVideoRepository
from gostream_shared.domain.video import Video
from gostream_shared.observability.logs import configure_logs

_TICK = 0.01
#: Delay of a tick in seconds that counts as a stall, for which the machine is to blame and not the cache.
_STALL = 0.05


class SlowVideos(PostgresVideoRepository):
    """Delays the results of database reads, so that rare races occur within seconds."""

    delay = 0.0

    async def get(self, video_id: UUID, *, owner: str | None = None) -> Video:
        video = await super().get(video_id, owner=owner)
        await asyncio.sleep(random.uniform(0, self.delay))
        return video


def run_replica(spec: Spec, connection: Connection) -> None:
    """Reports readiness, receives the Schedule, sends the Tally."""
    configure_logs(service="replica", level="CRITICAL", form="console")
    uvloop.run(_run(spec, connection))


async def _run(spec: Spec, connection: Connection) -> None:
    config = spec.config()
    async with PostgresDatabase.open(config.database_url.get_secret_value(), max_size=8) as database:
        videos = SlowVideos(database.pool, timeout=STATEMENT_TIMEOUT)
        videos.delay = spec.load_delay
        through: AbstractAsyncContextManager[Reader]
        if spec.system == "near":
            through = open_near(spec.environment, spec.load_delay)
        elif spec.door:
            through = open_door(spec.environment, spec.load_delay)
        else:
            through = open_system(spec.system, config, database, videos)
        async with through as system:
            connection.send("ready")
            schedule: Schedule = await asyncio.to_thread(connection.recv)
            connection.send(await _Readers(spec, system, database).run(schedule))


class _Readers:
    def __init__(self, spec: Spec, system: Reader, database: PostgresDatabase) -> None:
        self._spec = spec
        self._system = system
        self._database = database
        self._truth = Truth(spec.record, len(spec.video_ids))
        self._tally = Tally()
        self._due = 0.0  # when the loop's next tick is due
        self._stalled_at = 0.0  # when the last late tick came

    async def run(self, schedule: Schedule) -> Tally:
        await asyncio.sleep(schedule.start - monotonic())
        ticking = asyncio.create_task(self._tick())
        async with asyncio.TaskGroup() as readers:
            for _ in range(self._spec.readers):
                readers.create_task(self._read_until(schedule.stop))
        ticking.cancel()
        await asyncio.sleep(schedule.stop + self._spec.settle - monotonic())
        self._tally.stuck = await self._count_stuck()
        self._tally.counters.update(await self._system.counters())
        return self._tally

    async def _read_until(self, stop: float) -> None:
        while monotonic() < stop:
            for _ in range(self._spec.batch):
                await self._read()
            await asyncio.sleep(random.uniform(0, 2 * self._spec.pause))

    async def _tick(self) -> None:
        while True:
            self._due = monotonic() + _TICK
            await asyncio.sleep(_TICK)
            if monotonic() - self._due > _STALL:
                self._stalled_at = monotonic()

    def _is_stalled(self, now: float) -> bool:
        """Whether the loop is or was just stalled, so that messages may still wait in its sockets."""
        return now - self._due > _STALL or now - self._stalled_at < _STALL

    async def _read(self) -> None:
        key = random.randrange(len(self._spec.video_ids))
        started = monotonic()
        stalled = self._is_stalled(started)
        try:
            version = await self._system.get(self._spec.video_ids[key])
        except Exception as error:  # noqa: BLE001 - counts every error of any library
            self._tally.errors += 1
            self._tally.counters[f"error {type(error).__name__}"] += 1
        else:
            self._tally.note(self._truth, key, version, started, stalled=stalled)

    async def _count_stuck(self) -> int:
        rows = await self._database.pool.fetch("SELECT id, version FROM videos")
        answers = [(row["version"], await self._system.get(row["id"])) for row in rows]
        return sum(current != answered for current, answered in answers)
