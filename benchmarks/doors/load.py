"""Requests of the benchmark, and runs of the load generator (go/load)."""

import json
import random
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from gostream.v1.video_service_pb2 import BatchGetVideosRequest, GetVideoRequest
from gostream_api.rpc.servicer import SERVICE

BATCH = 100
_BATCHES = 50
#: The generator and Redis run here, the server on core 0.
LOAD_CORE = 1


@dataclass(frozen=True, slots=True)
class Result:
    """What one run saw. Times in milliseconds."""

    calls: int
    failures: int
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    own_cpu_share: float


@dataclass(frozen=True, slots=True)
class Requests:
    """One file of requests for each kind, `grpc` or `json`."""

    method: str
    files: dict[str, Path]


class Generator:
    """Runs the load generator on its core. A run with calls that fail, or that hangs, raises."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def run(self, kind: str, port: int, requests: Requests, seconds: float, **options: float) -> Result:
        """Options: `rate`, `burst`, `connections`."""
        flags = [f"-{name}={value:g}" for name, value in options.items()]
        return self._run(kind, port, requests, [f"-seconds={seconds:g}", *flags], seconds)

    def send_each(self, kind: str, port: int, requests: Requests) -> Result:
        """Sends each request once."""
        return self._run(kind, port, requests, ["-once"], 0.0)

    def _run(self, kind: str, port: int, requests: Requests, flags: list[str], seconds: float) -> Result:
        where = [f"-kind={kind}", f"-address=127.0.0.1:{port}", f"-messages={requests.files[kind]}"]
        command = ["taskset", "-c", str(LOAD_CORE), str(self._program), *where]
        command += [f"-method=/{SERVICE}/{requests.method}", *flags]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
        if done.returncode:
            raise RuntimeError(f"the load generator failed: {done.stderr[-500:]}")
        found = json.loads(done.stdout)
        return Result(**{**found, "calls": int(found["calls"]), "failures": int(found["failures"])})


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
