"""A writer process that changes videos and announces the changes, as a worker does."""

import asyncio
import os
import random
import signal
from multiprocessing.connection import Connection
from time import monotonic
from uuid import UUID

import uvloop

from benchmarks.coherence.spec import Schedule, Spec
from benchmarks.coherence.systems import System, open_system
from benchmarks.coherence.version_record import Event, Truth
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.observability.logs import configure_logs

_AUTHORS = 4
_UPDATE = "UPDATE videos SET title = $2 WHERE id = $1 RETURNING version"


def run_writer(spec: Spec, keys: tuple[int, ...], connection: Connection) -> None:
    """Reports readiness, receives the Schedule, writes `keys` until its end."""
    configure_logs(service="writer", level="CRITICAL", form="console")
    uvloop.run(_run(spec, keys, connection))


async def _run(spec: Spec, keys: tuple[int, ...], connection: Connection) -> None:
    config = spec.writer_config()
    async with (
        PostgresDatabase.open(config.database_url.get_secret_value(), max_size=_AUTHORS + 2) as database,
        open_system(spec.system, config, database, database.videos) as system,
    ):
        connection.send("ready")
        schedule: Schedule = await asyncio.to_thread(connection.recv)
        await asyncio.sleep(schedule.start - monotonic())
        writer = _Writer(spec, system, database)
        async with asyncio.TaskGroup() as authors:
            for number in range(_AUTHORS):
                authors.create_task(writer.write_until(schedule.stop, keys[number::_AUTHORS]))
        connection.send("done")


class _Writer:
    def __init__(self, spec: Spec, system: System, database: PostgresDatabase) -> None:
        self._spec = spec
        self._system = system
        self._database = database
        self._truth = Truth(spec.record, len(spec.video_ids))

    async def write_until(self, stop: float, keys: tuple[int, ...]) -> None:
        """Writes bursts at random moments, on average at this writer's share of the rate."""
        mean = self._spec.burst * _AUTHORS / self._spec.rate
        due = monotonic() + random.uniform(0, mean)
        while due < stop:
            await asyncio.sleep(due - monotonic())
            key = random.choice(keys)
            for _ in range(self._spec.burst):
                await self._write(key, self._spec.video_ids[key])
                await asyncio.sleep(random.uniform(0, self._spec.load_delay))
            due = max(due + random.expovariate(1 / mean), monotonic() - 1)

    async def _write(self, key: int, video_id: UUID) -> None:
        version = await self._database.pool.fetchval(_UPDATE, video_id, f"title {random.random()}")
        self._truth.note(Event.COMMITTED, key, version, monotonic())
        if random.random() < self._spec.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        if await self._system.announce(video_id, version):
            self._truth.note(Event.ANNOUNCED, key, version, monotonic())
