"""The cost of a token: GetVideo of a hot id with AUTH_MODE=jwt and none, alternating.

`python -m benchmarks.doors.auth`. Between the two, AUTH_MODE=none gets the same tokens and ignores them, so
that the cost of the header and that of its check are separate. Wanted: at every port at least 0.97 of the
calls without tokens. Writes benchmarks/results/auth.md.
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
_NONE, _IGNORED, _JWT = "none", "ignored", "jwt"
_MODES = (_NONE, _IGNORED, _JWT)


@dataclass(frozen=True, slots=True)
class Pair:
    """One port in each mode, and the results of each round."""

    name: str
    targets: dict[str, Target]
    results: dict[str, list[Result]]

    def measure(self, generators: dict[str, Generator], requests: Requests, seconds: float) -> None:
        """Measures all modes, one after the other."""
        for mode in _MODES:
            target = self.targets[mode]
            result = generators[mode].run(target.place, requests, seconds, [target.process])
            self.results[mode].append(result)
            print(f"{self.name:22} {mode:8} {result.rate:8,.0f}/s", file=sys.stderr)

    def ratio(self, to: str = _NONE) -> float:
        """Calls with AUTH_MODE=jwt by those of another mode, the median of the rounds."""
        rounds = zip(self.results[_JWT], self.results[to], strict=True)
        return median(jwt.rate / other.rate for jwt, other in rounds)

    def row(self) -> tuple[str, ...]:
        rates = [median(each.rate for each in self.results[mode]) for mode in _MODES]
        costs = [median(each.cpu[0] / each.calls for each in self.results[mode]) * 1e6 for mode in _MODES]
        failed = sum(each.failures for mode in _MODES for each in self.results[mode])
        return (
            self.name,
            *(f"{rate:,.0f}" for rate in rates),
            f"{self.ratio():.3f}",
            f"{self.ratio(_IGNORED):.3f}",
            *(f"{cost:.1f}" for cost in costs),
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
    sending = Generator(programs.load, f"Bearer {token}")
    generators = {_NONE: Generator(programs.load), _IGNORED: sending, _JWT: sending}
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
        yield [
            Pair(one.name, {_NONE: one, _IGNORED: one, _JWT: other}, {mode: [] for mode in _MODES})
            for one, other in zip(plain, guarded, strict=True)
        ]


def _report(pairs: list[Pair], options: argparse.Namespace, about: str) -> None:
    words = (
        "GetVideo of one video in L1: AUTH_MODE=none without tokens, the same with tokens that it ignores, "
        f"and AUTH_MODE=jwt. {options.rounds} rounds of {options.seconds:g} s, alternating, medians. "
        f"64 connections with one open call each. {about}"
    )
    header = (
        *("port", "none, calls/s", "ignored", "jwt", "jwt / none", "jwt / ignored"),
        *("none, CPU µs/call", "ignored", "jwt", "failed"),
    )
    least = min(pair.ratio() for pair in pairs)
    verdict = f"Least ratio of calls: {least:.3f}; wanted {WANTED}."
    write_report(options.name, "The cost of a token", words, table(header, [p.row() for p in pairs]), verdict)


if __name__ == "__main__":
    main()
