"""Measures reads of our servers and of Go servers: `python -m benchmarks.doors`.

Writes benchmarks/results/doors.md.
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from benchmarks.doors.build import build
from benchmarks.doors.load import Generator, Requests, Result, batches, get_video
from benchmarks.doors.targets import (
    Target,
    add_short,
    circumstances,
    make_videos,
    running_targets,
)
from benchmarks.report import table, write_report
from benchmarks.servers import running_servers

_VIDEOS = 1000
_HOT, _RANDOM, _BATCH, _PACED = "hot id", "random ids", "batch of 100", "random ids, paced"


@dataclass(slots=True)
class Rounds:
    """The rounds of one server in one scenario."""

    results: list[Result] = field(default_factory=list)

    def row(self, scenario: str, name: str) -> tuple[str, ...]:
        return (
            f"{scenario}: {name}",
            f"{median(each.rate for each in self.results):,.0f}",
            f"{median(each.cpu[0] / each.calls for each in self.results) * 1e6:.0f}",
            f"{median(each.cpu[1] / each.calls for each in self.results) * 1e6:.0f}",
            f"{median(each.p50_ms for each in self.results):.2f}",
            f"{median(each.p99_ms for each in self.results):.2f}",
            f"{median(each.own_cpu_share for each in self.results):.2f}",
            f"{sum(each.failures for each in self.results):.0f}",
        )


@dataclass(slots=True)
class Bench:
    """One run. The servers take turns within each scenario of each round."""

    generator: Generator
    redis: psutil.Process
    requests: dict[str, Requests]
    options: argparse.Namespace
    found: dict[tuple[str, str], Rounds] = field(default_factory=dict)

    def run(self, targets: list[Target]) -> None:
        for _ in range(self.options.rounds):
            for scenario in (_HOT, _RANDOM, _BATCH, _PACED):
                for target in targets:
                    if scenario == _HOT or not target.is_constant:
                        self._measure(scenario, target)

    def _measure(self, scenario: str, target: Target) -> None:
        requests = self.requests[scenario]
        for each in [requests] if target.is_constant else [self.requests[_RANDOM], requests]:
            self.generator.send_each(target.place, each)
        time.sleep(0.3)  # lets refreshes in the background finish
        paced = {"rate": self.options.rate} if scenario == _PACED else {}
        watched = (target.process, self.redis)
        result = self.generator.run(target.place, requests, self.options.seconds, watched, **paced)
        self.found.setdefault((scenario, target.name), Rounds()).results.append(result)
        print(f"{scenario:18} {target.name:30} {result.rate:8,.0f}/s", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.doors",
        description="Compares the API's ports with a bare grpc.aio handler and Go servers, alternately. "
        "Each server runs on one core, generator and Redis on another.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each server")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round")
    parser.add_argument("--rate", type=float, default=1500.0, help="calls per second of the paced scenario")
    parser.add_argument("--name", default="doors", help="file in benchmarks/results")
    add_short(parser)
    options = parser.parse_args()
    programs = build()
    load = os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory() as name,
        running_servers() as servers,
        running_targets(servers, programs.peer, options.short) as targets,
    ):
        ids, folder = make_videos(servers.config(), _VIDEOS), Path(name)
        each = get_video(folder, "random", ids)
        requests = {_HOT: get_video(folder, "hot", ids[:1]), _RANDOM: each, _PACED: each}
        requests[_BATCH] = batches(folder, "batch", ids)
        bench = Bench(Generator(programs.load), psutil.Process(servers.redis.pid), requests, options)
        bench.run(targets)
        memory = [(target.name, f"{target.megabytes():.0f}") for target in targets]
    _report(bench, memory, circumstances(programs, load))


def _report(bench: Bench, memory: list[tuple[str, str]], about: str) -> None:
    options = bench.options
    words = (
        f"{options.rounds} interleaved rounds of {options.seconds:g} s, medians. 64 connections with one "
        f"open call each; {options.rate:,.0f} calls/s in the paced scenario. {about}"
    )
    header = (
        "scenario: server",
        "calls/s",
        "CPU µs/call",
        "of Redis",
        "p50 ms",
        "p99 ms",
        "load core",
        "failed",
    )
    rows = [rounds.row(*place) for place, rounds in sorted(bench.found.items(), key=_by_scenario)]
    tables = (table(header, rows), table(("server", "resident MB"), memory))
    write_report(options.name, "Reads, by door", words, *tables)


def _by_scenario(item: tuple[tuple[str, str], Rounds]) -> int:
    return (_HOT, _RANDOM, _BATCH, _PACED).index(item[0][0])


if __name__ == "__main__":
    main()
