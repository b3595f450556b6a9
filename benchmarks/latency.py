"""Latency from a write's announcement to its eviction in all processes: `python -m benchmarks.latency`."""

import argparse
import asyncio
import mmap
import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from uuid import UUID

import uvloop

from benchmarks.cached import make_video, open_cached
from benchmarks.report import table, write_report
from benchmarks.servers import running_servers
from gostream_shared.config import Config
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.observability.logs import configure_logs

_spawn = multiprocessing.get_context("spawn")


class Moments:
    """Times at which each replica evicted each version, in a shared file; 0 = not yet."""

    def __init__(self, path: Path, replica: int, versions: int) -> None:
        with path.open("r+b") as file:
            table = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")
        self._row = table[replica * versions : (replica + 1) * versions]

    def __getitem__(self, version: int) -> float:
        return self._row[version]

    # BusListener method; runs after the cached service has evicted the video.
    def changed(self, video_id: UUID, version: int) -> None:
        if version < len(self._row):
            self._row[version] = time.monotonic()

    def reset(self) -> None:
        """A reset evicts no particular video."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency",
        description="Measures the time from announce() until the last replica has evicted the video.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--replicas", type=int, default=4, help="processes that listen")
    parser.add_argument("--writes", type=int, default=3000, help="announcements")
    parser.add_argument("--interval", type=float, default=10.0, help="ms between them")
    options = parser.parse_args()
    configure_logs(service="bench", level="CRITICAL", form="console")
    with running_servers() as servers, TemporaryDirectory() as folder:
        record = Path(folder) / "moments"
        record.write_bytes(bytes(options.replicas * (options.writes + 2) * 8))
        config, children = servers.config(), []
        for number in range(options.replicas):
            ours, theirs = _spawn.Pipe()
            process = _spawn.Process(
                target=_listen, args=(config, record, number, options.writes + 2, theirs), daemon=True
            )
            process.start()
            children.append((process, ours))
        try:
            for _, connection in children:
                connection.recv()
            begun, returned = uvloop.run(_announce(config, options))
        finally:
            for process, _ in children:
                process.kill()
                process.join(10)
        replicas = [Moments(record, number, options.writes + 2) for number in range(options.replicas)]
        _report(options, begun, returned, replicas)


def _listen(config: Config, record: Path, number: int, versions: int, connection: Connection) -> None:
    async def listen() -> None:
        url = config.database_url.get_secret_value()
        async with (
            PostgresDatabase.open(url, max_size=2) as database,
            open_cached(config, database) as (cache, _),
        ):
            cache.bus.add(Moments(record, number, versions))
            connection.send("ready")
            await asyncio.Event().wait()

    configure_logs(service="bench", level="CRITICAL", form="console")
    uvloop.run(listen())


async def _announce(config: Config, options: argparse.Namespace) -> tuple[list[float], list[float]]:
    """Returns start and duration of each call; write n has version n+2."""
    begun, took = list[float](), list[float]()
    url = config.database_url.get_secret_value()
    async with (
        PostgresDatabase.open(url, max_size=2) as database,
        open_cached(config, database) as (cache, _),
    ):
        video_id = await make_video(database)
        for write in range(options.writes):
            begun.append(time.monotonic())
            await cache.announcer.announce(video_id, write + 2)
            took.append(time.monotonic() - begun[-1])
            await asyncio.sleep(options.interval / 1000)
        await asyncio.sleep(1)
    return begun, took


def _report(
    options: argparse.Namespace, begun: list[float], took: list[float], replicas: list[Moments]
) -> None:
    versions = range(2, options.writes + 2)
    lost = sum(not all(replica[version] for replica in replicas) for version in versions)
    everywhere = [
        max(replica[version] for replica in replicas) - start
        for version, start in zip(versions, begun, strict=True)
        if all(replica[version] for replica in replicas)
    ]
    rows = [_row("evicted in every process", everywhere), _row("announce() returned", took)]
    words = f"{options.writes} announcements, {options.replicas} listening processes, {lost} not heard."
    write_report(
        "latency", "Invalidation", table(("after announce() was called", "p50 ms", "p99 ms"), rows), words
    )


def _row(name: str, seconds: list[float]) -> tuple[str, str, str]:
    cuts = quantiles(seconds, n=100)
    return name, f"{cuts[49] * 1000:.2f}", f"{cuts[98] * 1000:.2f}"


if __name__ == "__main__":
    main()
