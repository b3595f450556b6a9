"""Compares GetVideo from L1 with an empty handler: `python -m benchmarks.getvideo`."""

import argparse
import asyncio
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from statistics import median, quantiles
from typing import Any
from uuid import UUID

import grpc
import psutil
import uvloop
from grpc import aio

from benchmarks.cached import make_video
from benchmarks.report import table, write_report
from benchmarks.servers import Servers, running_servers
from gostream.v1.video_service_pb2 import GetVideoRequest
from gostream_api.rpc.interceptors.base import Handler
from gostream_api.rpc.server import OPTIONS
from gostream_api.rpc.servicer import SERVICE
from gostream_shared.config import Config
from gostream_shared.db.database import PostgresDatabase

_METHOD = f"/{SERVICE}/GetVideo"
_HOST = "127.0.0.1"
_spawn = multiprocessing.get_context("spawn")
_START_TIMEOUT = 60.0


@dataclass(slots=True)
class Round:
    """One round of one server under load."""

    rate: float  # calls per second
    cpu: float  # processor seconds per call
    p50: float
    p99: float


@dataclass(slots=True)
class Contender:
    """One server and its rounds."""

    name: str
    port: int
    pid: int
    rounds: list[Round] = field(default_factory=list)

    def processor_time(self) -> float:
        """Processor seconds of all processes of the server."""
        parent = psutil.Process(self.pid)
        times = [each.cpu_times() for each in (parent, *parent.children(recursive=True))]
        return sum(each.user + each.system for each in times)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.getvideo",
        description="Compares gostream-api's GetVideo from L1 with a bare grpc.aio handler that returns the "
        "same bytes, with the same options on the same loop, alternately. Processor time per call limits "
        "a server; the rate also depends on the client.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each server")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a round")
    parser.add_argument("--processes", type=int, default=1, help="API_PROCESSES, and as many bare servers")
    parser.add_argument("--connections", type=int, default=8, help="connections of the client")
    parser.add_argument("--calls", type=int, default=32, help="calls open at a time")
    options = parser.parse_args()
    with running_servers() as servers, ExitStack() as stack:
        video_id = asyncio.run(_make_video(servers.config()))
        request = GetVideoRequest(id=str(video_id)).SerializeToString()
        ours = stack.enter_context(_running_api(servers, options.processes))
        payload = _answer(ours.port, request)
        bare = stack.enter_context(_running_bare(payload, options.processes))
        for _ in range(options.rounds):
            for contender in (bare, ours):
                contender.rounds.append(_measure(contender, request, options))
    _report(bare, ours, options)


async def _make_video(config: Config) -> UUID:
    async with PostgresDatabase.open(config.database_url.get_secret_value(), max_size=1) as database:
        return await make_video(database)


@contextmanager
def _running_api(servers: Servers, processes: int) -> Iterator[Contender]:
    port = _free_port()
    environment = {
        **os.environ,
        **servers.environment(),
        "API_HOST": _HOST,
        "API_PORT": str(port),
        "API_PROCESSES": str(processes),
        "METRICS_HOST": _HOST,
        "METRICS_PORT": "0",
        "LOG_LEVEL": "ERROR",
        "SHUTDOWN_DELAY": "0s",
    }
    process = subprocess.Popen([sys.executable, "-m", "gostream_api.app"], env=environment)
    try:
        yield Contender("GoStream, from L1", port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def _running_bare(payload: bytes, processes: int) -> Iterator[Contender]:
    port = _free_port()
    ours, theirs = _spawn.Pipe()
    process = _spawn.Process(target=_run_bare, args=(payload, port, processes, theirs))
    process.start()
    try:
        if not ours.poll(_START_TIMEOUT):
            raise TimeoutError("the bare server does not start")
        yield Contender("bare grpc.aio", port, process.pid or 0)
    finally:
        for child in psutil.Process(process.pid).children():
            child.kill()
        process.kill()
        process.join(10)


def _run_bare(payload: bytes, port: int, processes: int, ready: Connection) -> None:
    for _ in range(processes - 1):
        _spawn.Process(target=_run_bare, args=(payload, port, 1, ready)).start()
    uvloop.run(_serve_bare(payload, port, ready))


async def _serve_bare(payload: bytes, port: int, ready: Connection) -> None:
    async def get_video(request: bytes, context: Any) -> bytes:
        return payload

    server = aio.server(options=[*OPTIONS, ("grpc.so_reuseport", 1)])
    handler: Handler = grpc.unary_unary_rpc_method_handler(get_video)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"GetVideo": handler}),))
    server.add_insecure_port(f"{_HOST}:{port}")
    await server.start()
    ready.send("ready")
    await asyncio.Event().wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _answer(port: int, request: bytes) -> bytes:
    """Returns GetVideo's reply from L1. Raises TimeoutError."""
    deadline = time.monotonic() + _START_TIMEOUT
    _wait_until_listening(port, deadline)  # a channel would back off between attempts
    with grpc.insecure_channel(f"{_HOST}:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        call: Any = channel.unary_unary(_METHOD)
        while time.monotonic() < deadline:
            try:
                answer, state = call.with_call(request, timeout=5)
            except grpc.RpcError:
                continue
            if ("x-cache", "L1") in {(key, value) for key, value in state.trailing_metadata()}:
                return bytes(answer)
            time.sleep(0.1)
    raise TimeoutError("the API does not answer from L1")


def _wait_until_listening(port: int, deadline: float) -> None:
    while time.monotonic() < deadline:
        try:
            socket.create_connection((_HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the API does not start")


def _measure(contender: Contender, request: bytes, options: argparse.Namespace) -> Round:
    before, begun = contender.processor_time(), time.perf_counter()
    times = uvloop.run(_load(contender.port, request, options))
    took, used = time.perf_counter() - begun, contender.processor_time() - before
    cuts = quantiles(times, n=100)
    return Round(len(times) / took, used / len(times), cuts[49], cuts[98])


async def _load(port: int, request: bytes, options: argparse.Namespace) -> list[float]:
    """Returns the duration of each call in seconds."""
    times = list[float]()
    # One connection per channel, so that processes that share a port share the calls.
    arguments = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    channels = [
        aio.insecure_channel(f"{_HOST}:{port}", options=arguments) for _ in range(options.connections)
    ]
    stop = time.perf_counter() + options.seconds

    async def caller(number: int) -> None:
        call: Any = channels[number % len(channels)].unary_unary(_METHOD)
        while (begun := time.perf_counter()) < stop:
            await call(request, timeout=10)
            times.append(time.perf_counter() - begun)

    async with asyncio.TaskGroup() as callers:
        for number in range(options.calls):
            callers.create_task(caller(number))
    for channel in channels:
        await channel.close()
    return times


def _report(bare: Contender, ours: Contender, options: argparse.Namespace) -> None:
    rows = [_row(bare), _row(ours)]
    pairs = list(zip(bare.rounds, ours.rounds, strict=True))
    rate = median(our.rate / their.rate for their, our in pairs)
    capacity = median(their.cpu / our.cpu for their, our in pairs)
    tail = median(our.p99 / their.p99 for their, our in pairs)
    rows.append(("ratio (median of the rounds')", f"{rate:.2f}", f"{capacity:.2f}", "", f"{tail:.2f}"))
    words = (
        f"{options.rounds} alternating rounds of {options.seconds:g} s, {options.calls} concurrent calls "
        f"over {options.connections} connections, {options.processes} server process(es). The second "
        "ratio is of calls per second of processor time."
    )
    header = ("server", "calls/s", "processor µs a call", "p50 ms", "p99 ms")
    name = "getvideo" if options.processes == 1 else f"getvideo-{options.processes}-processes"
    write_report(name, "GetVideo from L1", table(header, rows), words)


def _row(contender: Contender) -> tuple[str, ...]:
    rounds = contender.rounds
    return (
        contender.name,
        f"{median(each.rate for each in rounds):,.0f}",
        f"{median(each.cpu for each in rounds) * 1e6:.0f}",
        f"{median(each.p50 for each in rounds) * 1000:.2f}",
        f"{median(each.p99 for each in rounds) * 1000:.2f}",
    )


if __name__ == "__main__":
    main()
