"""The scenario the project began with: `python -m benchmarks.doors.headline`.

100 viewers ask for one video, all at once and then together 1,000 times a second, and no cache has it.
Wanted: all are answered, one query and at most two calls of Redis, and p95 is below Go's.
Writes benchmarks/results/headline.md.
"""

import argparse
import asyncio
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import asyncpg

from benchmarks.doors.build import build
from benchmarks.doors.load import Generator, Result, get_video
from benchmarks.doors.targets import Target, add_short, circumstances, make_videos, running_targets
from benchmarks.report import table, write_report
from benchmarks.servers import Servers, running_servers

_STATISTICS = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "top"}
_QUERIES = "SELECT query, calls FROM pg_stat_statements WHERE query ~ '(videos|peer_replies)'"
_END = "end-of-the-round"
_OTHERS = 100
_QUIET = 2.0  # seconds in which the announcements of new videos end


@dataclass(slots=True)
class Rounds:
    """The rounds of one server."""

    results: list[Result] = field(default_factory=list)
    queries: list[int] = field(default_factory=list)
    redis: list[int] = field(default_factory=list)

    def row(self, name: str) -> tuple[str, ...]:
        calls = sum(each.calls for each in self.results)
        answered = calls - sum(each.failures for each in self.results)
        return (
            name,
            f"{answered:,.0f} of {calls:,.0f}",
            f"{median(each.p50_ms for each in self.results):.2f}",
            f"{median(each.p95_ms for each in self.results):.2f}",
            f"{median(each.p99_ms for each in self.results):.2f}",
            f"{median(each.cpu[0] / each.calls for each in self.results) * 1e6:.0f}",
            f"{max(self.queries):,}",
            f"{max(self.redis):,}",
        )


class Counters:
    """Counts queries of PostgreSQL for videos, and calls of Redis for one video."""

    def __init__(self, servers: Servers) -> None:
        self._url = servers.database_url.replace("://gostream:", "://postgres:", 1)
        self._redis = servers.redis

    def prepare(self) -> None:
        """Makes the statistics readable."""
        asyncio.run(self._query("CREATE EXTENSION pg_stat_statements"))

    @contextmanager
    def counting(self, video_id: str) -> Iterator[list[int]]:
        """Yields a list that holds both numbers after the block."""
        asyncio.run(self._query("SELECT pg_stat_statements_reset()"))
        found: list[int] = []
        with socket.create_connection((self._redis.host, self._redis.port), timeout=30) as monitor:
            # Read only at the end, so that counting costs the measured servers nothing but Redis' log line.
            monitor.sendall(f"AUTH {self._redis.password}\r\nMONITOR\r\n".encode())
            yield found
            queries = asyncio.run(self._query(_QUERIES))
            self._redis.execute("ECHO", _END)
            seen = b""
            while f'"{_END}"'.encode() not in seen:
                if not (chunk := monitor.recv(1 << 20)):
                    raise RuntimeError("Redis closed the connection that counts")
                seen += chunk
        lines = [line for line in seen.decode().splitlines() if video_id in line and " lua] " not in line]
        found += [sum(row["calls"] for row in queries), len(lines)]

    async def _query(self, command: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self._url)
        try:
            return list(await connection.fetch(command))
        finally:
            await connection.close()


@dataclass(slots=True)
class Headline:
    """One run. The servers take turns within each round."""

    servers: Servers
    generator: Generator
    counters: Counters
    options: argparse.Namespace
    found: dict[str, Rounds] = field(default_factory=dict)

    def run(self, targets: list[Target]) -> None:
        for _ in range(self.options.rounds):
            for target in targets:
                with tempfile.TemporaryDirectory() as folder:
                    self._measure(target, Path(folder))

    def _measure(self, target: Target, folder: Path) -> None:
        others, own = make_videos(self.servers.config(), _OTHERS), make_videos(self.servers.config(), 1)
        viewers, requests = self.options.viewers, get_video(folder, "own", own)
        warmup = get_video(folder, "others", others)
        self.generator.send_each(target.place, warmup)
        time.sleep(_QUIET)
        options = {"rate": self.options.rate, "burst": viewers, "connections": viewers}
        with ExitStack() as counting:
            counts = list[list[int]]()
            result = self.generator.run(
                target.place,
                requests,
                self.options.seconds,
                [target.process],
                warmup,
                lambda: counts.append(counting.enter_context(self.counters.counting(own[0]))),
                **options,
            )
        [(queries, calls)] = counts
        rounds = self.found.setdefault(target.name, Rounds())
        rounds.results.append(result)
        rounds.queries.append(queries)
        rounds.redis.append(calls)
        print(f"{target.name:34} p95 {result.p95_ms:8.2f} ms, {queries} and {calls}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.doors.headline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each server, each with a new video")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a round")
    parser.add_argument("--viewers", type=int, default=100, help="connections")
    parser.add_argument("--rate", type=float, default=1000.0, help="requests per second of all viewers")
    parser.add_argument("--name", default="headline", help="file in benchmarks/results")
    add_short(parser)
    options = parser.parse_args()
    programs = build()
    load = os.getloadavg()[0]
    with (
        running_servers(_STATISTICS) as servers,
        running_targets(servers, programs.peer, options.short) as targets,
    ):
        headline = Headline(servers, Generator(programs.load), Counters(servers), options)
        headline.counters.prepare()
        headline.run([target for target in targets if not target.is_constant])
    words = (
        f"{options.viewers} viewers of one video, all at once and then {options.rate:,.0f} requests a second "
        f"for {options.seconds:g} s. No cache has the video at the start. {options.rounds} interleaved "
        "rounds, each with a new video: medians of the times, the most queries and calls of a round. "
        f"{circumstances(programs, load)}"
    )
    header = ("server", "answered", "p50 ms", "p95 ms", "p99 ms", "CPU µs/call", "queries", "Redis calls")
    rows = [rounds.row(name) for name, rounds in headline.found.items()]
    write_report(options.name, "100 viewers of one video", words, table(header, rows))


if __name__ == "__main__":
    main()
