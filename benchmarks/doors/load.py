"""Requests of the benchmark, and runs of the load generator (go/load)."""

import json
import random
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import psutil

from gostream.v1.video_service_pb2 import BatchGetVideosRequest, GetVideoRequest
from gostream_api.rpc.servicer import SERVICE

BATCH = 100
_BATCHES = 50
#: The generator and Redis run here, the server on core 0.
LOAD_CORE = 1


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one run. `cpu`: seconds of each watched process."""

    calls: float
    failures: float
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    own_cpu_share: float
    cpu: list[float]


@dataclass(frozen=True, slots=True)
class Requests:
    """One file of requests for each kind, `grpc` or `json`."""

    method: str
    files: dict[str, Path]


class Generator:
    """Runs the load generator on its core, with a value of `authorization` if given.

    Raises RuntimeError if it fails.
    """

    def __init__(self, program: Path, authorization: str = "") -> None:
        self._program = program
        self._authorization = authorization

    def run(
        self,
        place: tuple[str, int],
        requests: Requests,
        seconds: float,
        watched: Sequence[psutil.Process] = (),
        warmup: Requests | None = None,
        on_ready: Callable[[], object] = lambda: None,
        **options: float,
    ) -> Result:
        """Makes calls. `watched`: processes whose CPU time is in the result.

        The first calls of a connection, with requests of `warmup`, are not measured; `on_ready` is called
        after them. Options: `rate`, `burst`, `connections`.
        """
        flags = [f"-seconds={seconds:g}", *(f"-{name}={value:g}" for name, value in options.items())]
        if warmup:
            flags.append(f"-warmup={warmup.files[place[0]]}")
        return self._run(place, requests, flags, seconds, watched, on_ready)

    def send_each(self, place: tuple[str, int], requests: Requests) -> Result:
        """Sends each request once."""
        return self._run(place, requests, ["-once"], 0.0, (), lambda: None)

    def _run(
        self,
        place: tuple[str, int],
        requests: Requests,
        flags: list[str],
        seconds: float,
        watched: Sequence[psutil.Process],
        on_ready: Callable[[], object],
    ) -> Result:
        kind, port = place
        command = ["taskset", "-c", str(LOAD_CORE), str(self._program)]
        command += [f"-kind={kind}", f"-address=127.0.0.1:{port}", f"-messages={requests.files[kind]}"]
        command += [f"-method=/{SERVICE}/{requests.method}", *flags]
        command += [f"-authorization={self._authorization}"] if self._authorization else []
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
            assert process.stdout
            process.stdout.readline()  # it is ready
            on_ready()
            begun = [_cpu_seconds(each) for each in watched]
            try:
                output, _ = process.communicate("\n", timeout=seconds + 60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        if process.returncode:
            raise RuntimeError(f"the load generator failed: {kind} at port {port}, {requests.method}")
        cpu = [_cpu_seconds(each) - before for each, before in zip(watched, begun, strict=True)]
        return Result(**json.loads(output), cpu=cpu)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def get_video(folder: Path, name: str, ids: Sequence[str]) -> Requests:
    """GetVideo of each id."""
    messages = [GetVideoRequest(id=each).SerializeToString() for each in ids]
    return _write(folder, name, "GetVideo", messages, [f"/v1/videos/{each}" for each in ids])


def batches(folder: Path, name: str, ids: Sequence[str]) -> Requests:
    """BatchGetVideos of random ids."""
    chosen = [random.sample(ids, BATCH) for _ in range(_BATCHES)]
    messages = [BatchGetVideosRequest(ids=each).SerializeToString() for each in chosen]
    paths = ["/v1/videos:batchGet?" + urlencode([("ids", one) for one in each]) for each in chosen]
    return _write(folder, name, "BatchGetVideos", messages, paths)


def _write(folder: Path, name: str, method: str, messages: list[bytes], paths: list[str]) -> Requests:
    files = {"grpc": folder / f"{name}.grpc", "json": folder / f"{name}.json"}
    for file, parts in zip(files.values(), (messages, [path.encode() for path in paths]), strict=True):
        file.write_bytes(b"".join(len(part).to_bytes(4, "big") + part for part in parts))
    return Requests(method, files)
