"""Measures the cost of a read on each transport: `make bench-api`. Writes benchmarks/results/api.md.

One server runs on core 0, the generator (grpc_load.py) on core 1, with real PostgreSQL and Redis. The servers
alternate within each round, so that other load on the machine affects them equally. The table shows medians.
CPU per call is the kernel's CPU time of the server process, and of Envoy if the call passes it.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import psutil
from google.protobuf.message import Message

from gostream.v1.video_service_pb2 import BatchGetVideosRequest, CreateVideoRequest, GetVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.host.state import State
from gostream_devstack.instance.stack import Options, Stack

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results/api.md"
SERVICE = "/gostream.v1.VideoService/"
VIDEOS, BATCH = 1000, 100
#: Times that every request is sent before the measurement, to load and refresh entries.
WARMING = 2
SERVER_CORE, LOAD_CORE = 0, 1


@dataclass
class Target:
    """One way to the reads. `processes` share its cost."""

    name: str
    port: int
    processes: list[psutil.Process]
    scenarios: tuple[str, ...] = ("hot id", "random ids", "batch of 100")
    is_json: bool = False

    @property
    def cpu(self) -> float:
        """The seconds of CPU that its processes have used."""
        times = [process.cpu_times() for process in self.processes]
        return float(sum(each.user + each.system for each in times))

    @property
    def megabytes(self) -> float:
        return float(sum(process.memory_info().rss for process in self.processes) / 2**20)


@dataclass
class Seen:
    """Measurements of one server in one scenario, one value per round."""

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)

    def row(self) -> tuple[float, float, float, float, float]:
        rate, cpu, p50, p99 = map(statistics.median, (self.rates, self.cpu, self.p50, self.p99))
        return rate, cpu, self.least, p50, p99

    @property
    def least(self) -> float:
        """CPU per call of the least disturbed round: other load only adds."""
        return min(self.cpu)


def main() -> None:
    """Starts the servers, measures, writes the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        targets, ids = running.enter_context(_servers(folder / "stack"))
        messages = _write_messages(folder, ids)
        found: dict[str, dict[str, Seen]] = {}
        for _ in range(options.rounds):
            for scenario, (method, file) in messages.items():
                for target in targets:
                    if scenario in target.scenarios:
                        seen = found.setdefault(scenario, {}).setdefault(target.name, Seen())
                        _measure(target, method, file, options.seconds, 0.0, seen)
        half = statistics.median(found["hot id"]["our grpc.aio"].rates) / 2
        for _ in range(options.rounds):
            for target in targets:
                seen = found.setdefault("random ids, half load", {}).setdefault(target.name, Seen())
                if "random ids" in target.scenarios:
                    _measure(target, *messages["random ids"], options.seconds, half, seen)
        memory = {target.name: target.megabytes for target in targets}
    text = _report(found, memory, half, options.rounds, options.seconds)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(text)
    print(text)


@contextmanager
def _servers(root: Path) -> Iterator[tuple[list[Target], list[str]]]:
    home, ports = Directories.at(root), Ports({})
    stack = Stack(home, State(), ports, Options(workers=0, durable=False, settings={"LOG_LEVEL": "WARNING"}))
    bare: subprocess.Popen[bytes] | None = None
    try:
        stack.start()
        bare_port, api, edge = ports.pick("bare-grpc"), stack.apis[0], stack.servers["envoy"]
        bare = subprocess.Popen([sys.executable, str(HERE / "bare_server.py"), str(bare_port)])
        own, envoy = psutil.Process(api.pid), psutil.Process(edge.pid)
        targets = [
            Target("bare grpc.aio", bare_port, [psutil.Process(bare.pid)], ("hot id",)),
            Target("our grpc.aio", api.port, [own]),
            Target("read door", api.read_port, [own]),
            Target("read door by Envoy, gRPC", edge.port, [own, envoy]),
            Target(
                "read door by Envoy, JSON", edge.port, [own, envoy], ("hot id", "random ids"), is_json=True
            ),
        ]
        time.sleep(3)
        for process in (own, envoy, psutil.Process(bare.pid)):
            _pin(process)
        yield targets, _make_videos(api.address)
    finally:
        if bare:
            bare.terminate()
            bare.wait()
        stack.stop()
        home.remove()


def _pin(process: psutil.Process) -> None:
    for thread in process.threads():
        os.sched_setaffinity(thread.id, {SERVER_CORE})


def _make_videos(address: str) -> list[str]:
    with grpc.insecure_channel(address) as channel, ThreadPoolExecutor(8) as pool:
        create = VideoServiceStub(channel).CreateVideo
        requests = [
            CreateVideoRequest(title=f"video number {number}", user_id="bench", size_bytes=4)
            for number in range(VIDEOS)
        ]
        return [reply.video.id for reply in pool.map(lambda each: create(each, timeout=30), requests)]


def _write_messages(folder: Path, ids: list[str]) -> dict[str, tuple[str, Path]]:
    """Writes the requests, and their paths in JSON. Returns method and file by scenario."""
    hot = [GetVideoRequest(id=ids[0])]
    each = [GetVideoRequest(id=video_id) for video_id in ids]
    batches = [BatchGetVideosRequest(ids=random.sample(ids, BATCH)) for _ in range(50)]
    found = {}
    scenarios: dict[str, tuple[str, Sequence[Message]]] = {
        "hot id": ("GetVideo", hot),
        "random ids": ("GetVideo", each),
        "batch of 100": ("BatchGetVideos", batches),
    }
    for scenario, (method, requests) in scenarios.items():
        path = folder / f"{scenario}.bin".replace(" ", "-")
        _write(path, [request.SerializeToString() for request in requests])
        paths = [f"/v1/videos/{each.id}".encode() for each in requests if isinstance(each, GetVideoRequest)]
        _write(path.with_suffix(".paths"), paths)
        found[scenario] = (SERVICE + method, path)
    return found


def _write(path: Path, messages: list[bytes]) -> None:
    path.write_bytes(b"".join(len(one).to_bytes(4, "big") + one for one in messages))


def _measure(target: Target, method: str, file: Path, seconds: float, rate: float, seen: Seen) -> None:
    address = f"127.0.0.1:{target.port}"
    messages = [str(file.with_suffix(".paths")), "--json"] if target.is_json else [str(file)]
    generator = [sys.executable, str(HERE / "grpc_load.py"), address, method, *messages]
    for _ in range(WARMING):
        subprocess.run([*generator, "--once", "--seconds", "60"], check=True, capture_output=True)
    time.sleep(0.3)  # lets refreshes in the background finish
    before, begun = target.cpu, time.monotonic()
    command = ["taskset", "-c", str(LOAD_CORE), *generator, "--seconds", str(seconds), "--rate", str(rate)]
    result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    if result["failures"]:
        sys.exit(
            f"{target.name}: {result['failures']} of {result['calls']} calls failed, so this is no result"
        )
    seen.rates.append(result["rate"])
    seen.cpu.append((target.cpu - before) / result["calls"] * 1e6)
    seen.p50.append(result["p50_ms"])
    seen.p99.append(result["p99_ms"])
    print(
        f"{target.name:24} {method:48} {result['rate']:8.0f}/s {time.monotonic() - begun:5.1f} s",
        file=sys.stderr,
    )


def _report(
    found: dict[str, dict[str, Seen]], memory: dict[str, float], half: float, rounds: int, seconds: float
) -> str:
    load = f"{os.cpu_count()} cores, load average {os.getloadavg()[1]:.1f}"
    lines = [
        "# Reads, by transport",
        "",
        f"`make bench-api`: medians of {rounds} interleaved rounds of {seconds:g} s; 64 connections, one",
        "call open on each; server on one core, generator (benchmarks/load/grpc_load.py) on another.",
        f"{load}: above 2 the machine was shared. Then read the CPU column and the ratios, not the rates.",
        "",
        "| scenario | server | calls/s | CPU µs/call | in the best round | p50 ms | p99 ms |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for scenario, servers in found.items():
        for name, seen in servers.items():
            if seen.rates:
                rate, cpu, least, p50, p99 = seen.row()
                figures = f"{rate:,.0f} | {cpu:.0f} | {least:.0f} | {p50:.2f} | {p99:.2f}"
                lines.append(f"| {scenario} | {name} | {figures} |")
    lines += ["", f"Half load is {half:,.0f} calls/s, half of what our grpc.aio answers.", ""]
    lines += ["| server | resident MB after the run |", "|---|--:|"]
    lines += [f"| {name} | {megabytes:.0f} |" for name, megabytes in memory.items()]
    lines += ["", *_ratios(found)]
    return "\n".join(lines) + "\n"


def _ratios(found: dict[str, dict[str, Seen]]) -> list[str]:
    """Ratios of the read door to grpc.aio: of rates, and of CPU per call."""
    lines = ["| ratio of medians | hot id | random ids |", "|---|--:|--:|"]
    scenarios = [found["hot id"], found["random ids"]]
    for name in ("read door", "read door by Envoy, gRPC", "read door by Envoy, JSON"):
        pairs = [(servers[name].row(), servers["our grpc.aio"].row()) for servers in scenarios]
        rates = " | ".join(f"{door[0] / other[0]:.2f}" for door, other in pairs)
        costs = " | ".join(f"{other[1] / door[1]:.2f}" for door, other in pairs)
        lines += [
            f"| {name} : our grpc.aio, calls/s | {rates} |",
            f"| the same, calls per second of CPU | {costs} |",
        ]
    batch = found["batch of 100"]["read door"].row()[1]
    return [*lines, "", f"BatchGetVideos: {BATCH / batch * 1e6:,.0f} videos per second of CPU, median."]


if __name__ == "__main__":
    main()
