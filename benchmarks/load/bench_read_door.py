"""CPU time per read from L1, by port and path: `make bench-read-door`."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import choices
from statistics import median
from uuid import UUID

import grpc
import psutil

from benchmarks.cached import make_video
from benchmarks.report import table, write_report
from benchmarks.servers import Servers, running_servers
from gostream.v1.video_service_pb2 import BatchGetVideosRequest, GetVideoRequest
from gostream_api.rpc.servicer import SERVICE
from gostream_devstack.host.ports import Ports
from gostream_shared.db.database import PostgresDatabase

_HOST = "127.0.0.1"
_VIDEOS, _BATCH = 1000, 100
_LOAD = Path(__file__).parent / "grpc_load.py"


@dataclass
class Target:
    """One port of one process; `costs` has the CPU seconds per call of each round, by scenario."""

    name: str
    port: int
    process: psutil.Process
    costs: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """Requests of one method in a file of benchmarks/load/grpc_load.py."""

    name: str
    method: str
    messages: Path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.bench_read_door", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round")
    parser.add_argument("--connections", type=int, default=16, help="connections with one open call each")
    options = parser.parse_args()
    with running_servers() as servers, ExitStack() as stack:
        ids = asyncio.run(_make_videos(servers))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        targets = [
            *stack.enter_context(_running_api(servers, "on")),
            *stack.enter_context(_running_api(servers, "off"))[1:],
        ]
        scenarios = list(_scenarios(folder, ids))
        for _ in range(options.rounds):
            for scenario in scenarios:
                for target in targets:
                    _measure(target, scenario, options)
    _report(targets, scenarios, options)


async def _make_videos(servers: Servers) -> list[UUID]:
    async with PostgresDatabase.open(servers.database_url, max_size=1) as database:
        return [await make_video(database) for _ in range(_VIDEOS)]


@contextmanager
def _running_api(servers: Servers, short: str) -> Iterator[list[Target]]:
    """Starts an API. Yields its two ports, that of gRPC first."""
    ports = Ports({})
    port, read_port = ports.pick(f"api-{short}"), ports.pick(f"reads-{short}")
    environment = {
        **os.environ,
        **servers.environment(),
        "API_HOST": _HOST,
        "API_PORT": str(port),
        "READ_PORT": str(read_port),
        "READ_DOOR_SHORT": short,
        "METRICS_HOST": _HOST,
        "METRICS_PORT": "0",
        "LOG_LEVEL": "ERROR",
        "SHUTDOWN_DELAY": "0s",
        "SHUTDOWN_GRACE": "1s",
    }
    running = subprocess.Popen([sys.executable, "-m", "gostream_api.app"], env=environment)
    try:
        for each in (port, read_port):
            with grpc.insecure_channel(f"{_HOST}:{each}") as channel:
                grpc.channel_ready_future(channel).result(180)
        process = psutil.Process(running.pid)
        yield [
            Target("grpc.aio", port, process),
            Target(f"read door, short path {short}", read_port, process),
        ]
    finally:
        running.terminate()
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()


def _scenarios(folder: Path, ids: list[UUID]) -> Iterator[Scenario]:
    one = GetVideoRequest(id=str(ids[0])).SerializeToString()
    all_of_them = [GetVideoRequest(id=str(each)).SerializeToString() for each in ids]
    batches = [
        BatchGetVideosRequest(ids=map(str, choices(ids, k=_BATCH))).SerializeToString() for _ in range(50)
    ]
    for name, method, messages in (
        ("hot id", "GetVideo", [one]),
        ("random of 1,000 ids", "GetVideo", all_of_them),
        ("batch of 100", "BatchGetVideos", batches),
    ):
        file = folder / f"{method}-{len(messages)}"
        file.write_bytes(b"".join(len(each).to_bytes(4, "big") + each for each in messages))
        yield Scenario(name, f"/{SERVICE}/{method}", file)


def _load(target: Target, scenario: Scenario, *options: str, may_fail: bool = False) -> int:
    """Returns the number of calls. Raises RuntimeError if one has failed, unless `may_fail`."""
    command = [sys.executable, str(_LOAD), f"{_HOST}:{target.port}", scenario.method, str(scenario.messages)]
    found = json.loads(subprocess.run([*command, *options], check=True, stdout=subprocess.PIPE).stdout)
    if not may_fail and (found["failures"] or not found["calls"]):
        raise RuntimeError(f"{target.name}, {scenario.name}: {found}")
    return int(found["calls"])


def _warm(target: Target, scenario: Scenario) -> None:
    """Fills L1 and refreshes old entries, with a few open calls, for these cost as much as many reads.

    On a busy machine, some exceed the deadlines of the backends.
    """
    for _ in range(2):
        _load(target, scenario, "--once", "--seconds", "60", "--connections=2", may_fail=True)
    time.sleep(0.5)


def _measure(target: Target, scenario: Scenario, options: argparse.Namespace) -> None:
    _warm(target, scenario)
    before = sum(target.process.cpu_times()[:2])
    calls = _load(target, scenario, f"--seconds={options.seconds}", f"--connections={options.connections}")
    cost = (sum(target.process.cpu_times()[:2]) - before) / calls
    target.costs.setdefault(scenario.name, []).append(cost)
    print(
        f"{scenario.name}, {target.name}: {calls:,} calls, {cost * 1e6:,.0f} µs", file=sys.stderr, flush=True
    )


def _report(targets: list[Target], scenarios: list[Scenario], options: argparse.Namespace) -> None:
    reference = targets[0]
    rows = []
    for scenario in scenarios:
        videos = _BATCH if scenario.name.startswith("batch") else 1
        for target in targets:
            costs = target.costs[scenario.name]
            ratio = median(reference.costs[scenario.name]) / median(costs)
            figures = (f"{median(costs) * 1e6:,.0f}", f"{min(costs) * 1e6:,.0f}", f"{ratio:.1f}")
            rows.append((f"{scenario.name}, {target.name}", *figures, f"{videos / median(costs):,.0f}"))
    header = ("case", "CPU µs per call, median", "least", "grpc.aio : this", "videos per CPU second")
    conditions = (
        f"{options.rounds} interleaved rounds of {options.seconds:g} s; {options.connections} connections "
        "with one open call each. CPU time is that of the server's process, which includes the kernel's part."
    )
    write_report("read-door", "The read door's short path", table(header, rows), conditions)


if __name__ == "__main__":
    main()
