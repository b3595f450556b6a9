"""The cost of traces: GetVideo of a hot id with traces of 1 % of the calls and without, alternating.

`python -m benchmarks.doors.traces`. The measure is CPU per call of the API. Wanted: at most 5 % more at every
port. Writes benchmarks/results/traces.md.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import grpc

from benchmarks.doors.build import build
from benchmarks.doors.load import Generator, Requests, Result, get_video
from benchmarks.doors.targets import Target, keep_off_servers, make_videos, place_of_all, running_api
from benchmarks.report import table, write_report
from benchmarks.servers import Servers, running_servers

WANTED = 1.05
_OFF, _ON = "off", "on"
_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@dataclass(frozen=True, slots=True)
class Pair:
    """One port without and with traces, and the results of each round."""

    targets: dict[str, Target]
    results: dict[str, list[Result]] = field(default_factory=lambda: {_OFF: [], _ON: []})

    def measure(self, generator: Generator, requests: Requests, seconds: float) -> None:
        """Measures both, one after the other."""
        for mode, target in self.targets.items():
            result = generator.run(target.place, requests, seconds, [target.process])
            self.results[mode].append(result)
            print(f"{target.name:22} {mode:4} {_cost(result):6.1f} µs", file=sys.stderr, flush=True)

    def ratio(self) -> float:
        """CPU per call with traces by that without, the median of the rounds."""
        rounds = zip(self.results[_ON], self.results[_OFF], strict=True)
        return median(_cost(on) / _cost(off) for on, off in rounds)

    def least(self) -> float:
        """The same, of the round with the least cost of each: the least disturbed by other processes."""
        return min(map(_cost, self.results[_ON])) / min(map(_cost, self.results[_OFF]))

    def row(self) -> tuple[str, ...]:
        costs = [median(_cost(each) for each in self.results[mode]) for mode in (_OFF, _ON)]
        rates = [median(each.rate for each in self.results[mode]) for mode in (_OFF, _ON)]
        failed = sum(each.failures for results in self.results.values() for each in results)
        return (
            self.targets[_OFF].name,
            *(f"{cost:.1f}" for cost in costs),
            f"{self.ratio():.3f}",
            f"{self.least():.3f}",
            *(f"{rate:,.0f}" for rate in rates),
            f"{failed:.0f}",
        )


def _cost(result: Result) -> float:
    return result.cpu[0] / result.calls * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.doors.traces",
        description="Compares traces on and off at every port of the API, alternately. "
        "Each server runs on one core, generator and Redis on another.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each port and mode")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round")
    parser.add_argument("--share", type=float, default=0.01, help="share of the calls that are recorded")
    options = parser.parse_args()
    programs = build(with_peer=False)
    load = os.getloadavg()[0]
    generator = Generator(programs.load)
    with tempfile.TemporaryDirectory() as name, running_servers() as servers, _collector() as endpoint:
        requests = get_video(Path(name), "hot", make_videos(servers.config(), 1))
        with _running_pairs(servers, endpoint, options.share) as pairs:
            for pair in pairs:
                for target in pair.targets.values():
                    generator.send_each(target.place, requests)
            for _ in range(options.rounds):
                for pair in pairs:
                    pair.measure(generator, requests, options.seconds)
    _report(pairs, options, place_of_all(programs, load))


@contextmanager
def _collector() -> Iterator[str]:
    """A collector that forgets all spans."""
    server = grpc.server(ThreadPoolExecutor(2))
    forget: Any = grpc.unary_unary_rpc_method_handler(lambda request, context: b"")
    service, _, method = _METHOD[1:].partition("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: forget}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop(0).wait()


@contextmanager
def _running_pairs(servers: Servers, endpoint: str, share: float) -> Iterator[list[Pair]]:
    """Starts an API for each mode."""
    keep_off_servers(servers)
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(share),
    }
    with running_api(servers, {}, "") as plain, running_api(servers, settings, "") as traced:
        yield [Pair({_OFF: off, _ON: on}) for off, on in zip(plain, traced, strict=True)]


def _report(pairs: list[Pair], options: argparse.Namespace, about: str) -> None:
    words = (
        f"GetVideo of one video in L1, without traces and with traces of {options.share:.0%} of the calls. "
        f"{options.rounds} rounds of {options.seconds:g} s, alternating, medians. "
        f"64 connections with one open call each. {about}"
    )
    header = ("port", "off, CPU µs/call", "on", "on / off", "of the least", "off, calls/s", "on", "failed")
    most = max(pair.ratio() for pair in pairs)
    verdict = f"Largest ratio of CPU per call: {most:.3f}; wanted at most {WANTED}."
    write_report("traces", "The cost of traces", words, table(header, [p.row() for p in pairs]), verdict)


if __name__ == "__main__":
    main()
