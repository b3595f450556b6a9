"""What a token costs: GetVideo of a hot id with AUTH_MODE=jwt and none, in turns.

`python -m benchmarks.doors.auth`. Wanted: at every port at least 0.97 of the calls without tokens. Writes
benchmarks/results/auth.md.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median

from benchmarks.doors.build import build
from benchmarks.doors.load import Generator, Requests, Result, get_video
from benchmarks.doors.targets import Target, keep_off_servers, make_videos, place_of_all, running_api
from benchmarks.report import table, write_report
from benchmarks.servers import Servers, running_servers
from gostream_devstack.host.issuer import TokenIssuer

WANTED = 0.97
_MODES = ("none", "jwt")


@dataclass(frozen=True, slots=True)
class Pair:
    """One port without tokens and with them, and the results of each round."""

    name: str
    targets: dict[str, Target]
    results: dict[str, list[Result]]

    def measure(self, generators: dict[str, Generator], requests: Requests, seconds: float) -> None:
        """Measures both, one after the other."""
        for mode in _MODES:
            target = self.targets[mode]
            result = generators[mode].run(target.place, requests, seconds, [target.process])
            self.results[mode].append(result)
            print(f"{self.name:22} {mode:5} {result.rate:8,.0f}/s", file=sys.stderr)

    def ratio(self) -> float:
        """Calls with a token by those without, the median of the rounds."""
        rounds = zip(self.results["jwt"], self.results["none"], strict=True)
        return median(jwt.rate / none.rate for jwt, none in rounds)

    def row(self) -> tuple[str, ...]:
        rates = [median(each.rate for each in self.results[mode]) for mode in _MODES]
        costs = [median(each.cpu[0] / each.calls for each in self.results[mode]) * 1e6 for mode in _MODES]
        failed = sum(each.failures for mode in _MODES for each in self.results[mode])
        ratios = (f"{self.ratio():.3f}", f"{costs[0] / costs[1]:.3f}")
        return (
            self.name,
            *(f"{rate:,.0f}" for rate in rates),
            ratios[0],
            *(f"{cost:.1f}" for cost in costs),
            ratios[1],
            f"{failed:.0f}",
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.doors.auth",
        description="Compares AUTH_MODE=jwt with none at every port of the API, alternately. "
        "Each server runs on one core, generator and Redis on another.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each port and mode")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round")
    parser.add_argument("--longer", type=int, default=0, help="characters of a scope that nobody knows")
    parser.add_argument("--name", default="auth", help="file in benchmarks/results")
    options = parser.parse_args()
    programs = build(with_peer=False)
    load = os.getloadavg()[0]
    issuer = TokenIssuer.temporary()
    scopes = f"videos:read videos:admin {'x' * options.longer}"
    token = issuer.token("alice", scopes, timedelta(hours=12))
    generators = {"none": Generator(programs.load), "jwt": Generator(programs.load, f"Bearer {token}")}
    with tempfile.TemporaryDirectory() as name, running_servers() as servers:
        requests = get_video(Path(name), "hot", make_videos(servers.config(), 1))
        with _running_pairs(servers, issuer, Path(name)) as pairs:
            for pair in pairs:
                for mode, generator in generators.items():
                    generator.send_each(pair.targets[mode].place, requests)
            for _ in range(options.rounds):
                for pair in pairs:
                    pair.measure(generators, requests, options.seconds)
    about = f"A token of {len(token)} characters. {place_of_all(programs, load)}"
    _report(pairs, options, about)


@contextmanager
def _running_pairs(servers: Servers, issuer: TokenIssuer, folder: Path) -> Iterator[list[Pair]]:
    """Starts an API for each mode."""
    keep_off_servers(servers)
    issuers = issuer.write_to(folder)
    settings = {"AUTH_MODE": "jwt", "AUTH_JWT_ISSUERS_FILE": str(issuers)}
    with running_api(servers, {}, "") as plain, running_api(servers, settings, "") as guarded:
        both = [dict(zip(_MODES, pair, strict=True)) for pair in zip(plain, guarded, strict=True)]
        yield [Pair(pair["none"].name, pair, {mode: [] for mode in _MODES}) for pair in both]


def _report(pairs: list[Pair], options: argparse.Namespace, about: str) -> None:
    words = (
        f"GetVideo of one video in L1. {options.rounds} rounds of {options.seconds:g} s, without tokens and "
        f"with them in turns; medians. 64 connections with one open call each. {about}"
    )
    header = (
        *("port", "none, calls/s", "jwt, calls/s", "jwt / none"),
        *("none, CPU µs/call", "jwt, CPU µs/call", "none / jwt", "failed"),
    )
    least = min(pair.ratio() for pair in pairs)
    verdict = f"Least ratio of calls: {least:.3f}; wanted {WANTED}."
    write_report(options.name, "What a token costs", words, table(header, [p.row() for p in pairs]), verdict)


if __name__ == "__main__":
    main()
