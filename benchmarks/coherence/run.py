"""One run: the processes of one system over fresh data under one fault, and their counts."""

import asyncio
import multiprocessing
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from benchmarks.coherence.faults import Fault, FaultInjector
from benchmarks.coherence.replica import run_replica
from benchmarks.coherence.spec import Schedule, Spec
from benchmarks.coherence.tally import Tally
from benchmarks.coherence.version_record import Truth
from benchmarks.coherence.writer import run_writer
from benchmarks.proxy import Proxy
from benchmarks.servers import Servers

_spawn = multiprocessing.get_context("spawn")  # no inherited event loop, pool or lock
#: The only system with a read door.
OURS = "gostream"
_START_TIMEOUT = 60.0
_END_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The size of a run; the defaults are those of docs/explanation/benchmarks.md."""

    seconds: float = 20.0
    replicas: int = 4
    readers: int = 32
    keys: int = 20
    writers: int = 2
    rate: float = 95.0
    burst: int = 3
    batch: int = 4
    pause: float = 0.01
    load_delay: float = 0.03
    door: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one run."""

    system: str
    fault: Fault
    tally: Tally
    writes: int
    strikes: int
    checked: int  # keys checked for being stuck, all replicas together


class _Child:
    """A child process and the pipe to it."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self.connection, theirs = _spawn.Pipe()
        self.process: BaseProcess = _spawn.Process(target=target, args=(*arguments, theirs), daemon=True)
        self.process.start()
        theirs.close()  # otherwise the child's end would not close the pipe

    def receive(self, timeout: float) -> Any:
        if not self.connection.poll(timeout):
            raise TimeoutError(f"{self.process.name} sent no message for {timeout:.0f} s")
        return self.connection.recv()

    def send(self, schedule: Schedule) -> None:
        connection: Connection = self.connection
        connection.send(schedule)

    def end(self) -> None:
        self.process.kill()
        self.process.join(10)
        self.connection.close()


class _Writers:
    """The writer processes; replaces dead ones."""

    def __init__(self, spec: Spec, count: int) -> None:
        self._spec = spec
        self._parts = [tuple(range(len(spec.video_ids)))[part::count] for part in range(count)]
        self.children = [self._begin(part) for part in range(count)]
        self._schedule: Schedule | None = None
        self.deaths = 0

    def _begin(self, part: int) -> _Child:
        return _Child(run_writer, self._spec, self._parts[part])

    def begin(self, schedule: Schedule) -> None:
        self._schedule = schedule
        for child in self.children:
            child.send(schedule)

    def kill_one(self) -> int:
        random.choice(self.children).process.kill()
        return self.deaths

    def tend(self) -> None:
        """Replaces writers that died early; the new ones start at once."""
        for part, child in enumerate(self.children):
            if not child.process.is_alive() and self._schedule and time.monotonic() < self._schedule.stop:
                self.deaths += 1
                child.end()
                self.children[part] = self._begin(part)
                self.children[part].send(replace(self._schedule, start=0.0))

    def end(self) -> None:
        for child in self.children:
            child.end()


def measure(servers: Servers, system: str, fault: Fault, options: Options) -> Outcome:
    """Runs one system under one fault. Blocks for `options.seconds` and a few more."""
    servers.redis.execute("FLUSHALL")
    video_ids = asyncio.run(_make_videos(servers.database_url, options.keys))
    with TemporaryDirectory(prefix="gostream-bench-") as folder, Proxy(servers.redis.port).running() as proxy:
        record = Path(folder) / "truth"
        Truth.create(record, options.keys)
        through_proxy = fault is Fault.HALF_OPEN
        spec = Spec(
            system=system,
            door=options.door and system == OURS,
            environment=servers.environment(redis_port=proxy.port if through_proxy else None),
            writer_environment=servers.environment(),
            record=record,
            video_ids=video_ids,
            readers=options.readers,
            batch=options.batch,
            pause=options.pause,
            load_delay=options.load_delay,
            rate=options.rate / options.writers,
            burst=options.burst,
            settle=1.5 if fault is Fault.NONE else 4.5,
            fatal=0.01 if fault is Fault.WRITERS else 0.0,
        )
        tally, strikes = _run_processes(servers, proxy, spec, fault, options)
    writes = asyncio.run(_count_writes(servers.database_url))
    return Outcome(system, fault, tally, writes, strikes, options.keys * options.replicas)


def _run_processes(
    servers: Servers, proxy: Proxy, spec: Spec, fault: Fault, options: Options
) -> tuple[Tally, int]:
    replicas = [_Child(run_replica, spec) for _ in range(options.replicas)]
    writers = _Writers(spec, options.writers)
    try:
        for child in (*replicas, *writers.children):
            child.receive(_START_TIMEOUT)
        start = time.monotonic() + 0.2
        schedule = Schedule(start, start + options.seconds)
        for child in replicas:
            child.send(schedule)
        writers.begin(schedule)
        injector = FaultInjector(fault, servers, proxy, writers.kill_one)
        injector.run(schedule.stop, writers.tend)
        tallies = [child.receive(_END_TIMEOUT) for child in replicas]
    finally:
        writers.end()
        for child in replicas:
            child.end()
    return Tally.total(tallies), writers.deaths if fault is Fault.WRITERS else injector.strikes


async def _make_videos(url: str, count: int) -> tuple[UUID, ...]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute("TRUNCATE videos, cache_outbox CASCADE")
        video_ids = tuple(uuid4() for _ in range(count))
        await connection.executemany(
            """INSERT INTO videos (id, user_id, title, content_type, status)
            VALUES ($1, 'u1', 'begun', 'video/mp4', 'CANCELLED')""",
            [(video_id,) for video_id in video_ids],
        )
        await connection.execute("TRUNCATE cache_outbox")
    finally:
        await connection.close()
    return video_ids


async def _count_writes(url: str) -> int:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return int(await connection.fetchval("SELECT sum(version - 1) FROM videos"))
    finally:
        await connection.close()
