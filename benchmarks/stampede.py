"""Many callers read the same cold key: `python -m benchmarks.stampede`."""

import argparse
import asyncio
import enum
import mmap
import multiprocessing
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import uvloop

from benchmarks.cached import make_video, open_cached
from benchmarks.report import table, write_report
from benchmarks.servers import Servers, running_servers
from gostream_api.principal import ANONYMOUS
from gostream_shared.config import Config
from gostream_shared.db.connecting.pool import STATEMENT_TIMEOUT
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.db.videos import PostgresVideoRepository
from gostream_shared.domain.video import Video
from gostream_shared.observability.logs import configure_logs

_spawn = multiprocessing.get_context("spawn")
_LOAD_TIME = 0.5
_TIMEOUT = 60.0


class Case(enum.StrEnum):
    """Events while the key is loaded."""

    CALM = "nothing"
    KILLED = "the loading process is SIGKILLed"
    CANCELLED = "all callers but one of one process are cancelled"


_LOADS = {Case.CALM: 1, Case.KILLED: 2, Case.CANCELLED: 1}


@dataclass(frozen=True, slots=True)
class Spec:
    """Settings for every process."""

    config: Config
    video_id: UUID
    record: Path  # loads per process, one byte each
    callers: int
    cancel: bool


class CountedVideos(PostgresVideoRepository):
    """Slow reads, counted in a file that other processes can read."""

    loads: mmap.mmap
    number: int

    async def get(self, video_id: UUID, *, owner: str | None = None) -> Video:
        self.loads[self.number] += 1
        video = await super().get(video_id, owner=owner)
        await asyncio.sleep(_LOAD_TIME)
        return video


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stampede",
        description="Counts the loads of one cold key if callers in many processes read it at once. "
        "Exits 1 if the number differs from the promised one.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--callers", type=int, default=500, help="callers per process")
    options = parser.parse_args()
    rows, wrong = [], False
    with running_servers() as servers:
        for case in Case:
            processes = 1 if case is Case.CANCELLED else options.processes
            loads, answers, took = _run(servers, case, processes, options.callers)
            rows.append((case.value, processes, options.callers, answers, loads, f"{took:.2f}"))
            wrong = wrong or loads != _LOADS[case]
    header = ("meanwhile", "processes", "callers in each", "answered", "loads", "s until all were")
    words = f"One load takes {_LOAD_TIME:g} s; a lease outlives its dead holder by at most 1.5 s."
    write_report("stampede", "Stampede on one cold key", table(header, rows), words)
    sys.exit(wrong)


def _run(servers: Servers, case: Case, processes: int, callers: int) -> tuple[int, int, float]:
    """Returns (loads, answered callers, seconds until the last answer)."""
    servers.redis.execute("FLUSHALL")
    config = servers.config()
    with TemporaryDirectory() as folder:
        record = Path(folder) / "loads"
        record.write_bytes(bytes(processes))
        spec = Spec(config, uvloop.run(_make_video(config)), record, callers, case is Case.CANCELLED)
        children = []
        for number in range(processes):
            ours, theirs = _spawn.Pipe()
            process = _spawn.Process(target=_call, args=(spec, number, theirs), daemon=True)
            process.start()
            children.append((process, ours))
        try:
            for _, connection in children:
                _receive(connection)
            start = time.monotonic() + 0.3
            for _, connection in children:
                connection.send(start)
            victim = _first_loader(record) if case is Case.KILLED else None
            if victim is not None:
                children[victim][0].kill()
            answers = [_receive(each) for number, (_, each) in enumerate(children) if number != victim]
        finally:
            for process, _ in children:
                process.kill()
                process.join(10)
        return (
            sum(record.read_bytes()),
            sum(count for count, _ in answers),
            max(t for _, t in answers) - start,
        )


def _receive(connection: Connection) -> tuple[int, float]:
    if not connection.poll(_TIMEOUT):
        raise TimeoutError("a process sent no message")
    answer: tuple[int, float] = connection.recv()
    return answer


def _first_loader(record: Path) -> int:
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        for number, loads in enumerate(record.read_bytes()):
            if loads:
                return number
        time.sleep(0.005)
    raise TimeoutError("nobody loads")


async def _make_video(config: Config) -> UUID:
    async with PostgresDatabase.open(config.database_url.get_secret_value(), max_size=1) as database:
        return await make_video(database)


def _call(spec: Spec, number: int, connection: Connection) -> None:
    configure_logs(service="bench", level="CRITICAL", form="console")
    uvloop.run(_call_at_once(spec, number, connection))


async def _call_at_once(spec: Spec, number: int, connection: Connection) -> None:
    url = spec.config.database_url.get_secret_value()
    async with PostgresDatabase.open(url, max_size=2) as database:
        videos = CountedVideos(database.pool, timeout=STATEMENT_TIMEOUT)
        videos.number = number
        with spec.record.open("r+b") as file:
            videos.loads = mmap.mmap(file.fileno(), 0)
        async with open_cached(spec.config, database, videos) as (_, service):
            connection.send((0, 0.0))
            start: float = await asyncio.to_thread(connection.recv)
            await asyncio.sleep(start - time.monotonic())
            calls = [
                asyncio.create_task(service.get_video(ANONYMOUS, spec.video_id)) for _ in range(spec.callers)
            ]
            if spec.cancel:
                await asyncio.sleep(_LOAD_TIME / 2)
                for call in calls[1:]:
                    call.cancel()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            answered = sum(not isinstance(answer, BaseException) for answer in answers)
            connection.send((answered, time.monotonic()))


if __name__ == "__main__":
    main()
