"""Compares a large source that is streamed from the object store with one that is copied first.

Prints the seconds until every rendition has a segment, and the requests to the store until then. The store is
real, behind a proxy that limits the throughput of each connection.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from statistics import median
from typing import cast
from uuid import UUID, uuid4

from imageio_ffmpeg import get_ffmpeg_exe

from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.host.state import State
from gostream_devstack.servers.seaweedfs import SeaweedFS
from gostream_shared.config import Config, load
from gostream_shared.domain.object_keys import source_key
from gostream_shared.storage.port import ObjectStore, StoredObject
from gostream_shared.storage.s3 import S3ObjectStore
from gostream_worker.encode.command import encode_arguments
from gostream_worker.encode.encoder import Encoder
from gostream_worker.plan.ladder import make_plan
from gostream_worker.plan.profiles import DEFAULT_PROFILE
from gostream_worker.probe.limits import SourceLimits
from gostream_worker.probe.probe import probe_source
from gostream_worker.sandbox.allowlist import loopback_port
from gostream_worker.source.open_source import open_source
from tests.support.tcp_proxy import Proxy

from .media import REAL_FILM, circumstances, ffmpeg, make_source, table

_LIMITS = SourceLimits(max_bytes=5 << 30, max_duration=12 * 3600)
_PROXY_CHUNK = 65536
_COPIED, _STREAMED = "copied", "streamed"


class _Counting:
    """Wraps the store and counts content requests."""

    def __init__(self, store: S3ObjectStore) -> None:
        self._store = store
        self.requests = 0

    async def head(self, key: str) -> StoredObject:
        return await self._store.head(key)

    async def download(self, key: str, to: Path, *, etag: str) -> None:
        self.requests += 1
        await self._store.download(key, to, etag=etag)

    async def read_range(self, key: str, *, start: int, size: int, etag: str) -> bytes:
        self.requests += 1
        return await self._store.read_range(key, start=start, size=size, etag=etag)


async def _to_first_segments(store: _Counting, video_id: UUID, *, max_copied: int) -> tuple[float, float]:
    """Returns the seconds until the source is probed, and until every rendition has a segment."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with open_source(
            cast("ObjectStore", store), source_key(video_id), folder, _LIMITS, max_copied=max_copied
        ) as source:
            plan = make_plan(
                await probe_source(source.url, folder=folder, patience=source.patience), DEFAULT_PROFILE
            )
            probed = time.monotonic() - began
            renditions = plan.renditions
            for rendition in renditions:
                (folder / rendition).mkdir()
            encoder = Encoder(Path(get_ffmpeg_exe()), memory=8 << 30)
            arguments = encode_arguments(plan, source=source.url, folder=".")
            run = encoder.run(
                arguments,
                folder=folder,
                duration=plan.duration,
                on_progress=lambda _: None,
                port=loopback_port(source.url),
            )
            encoding = asyncio.ensure_future(run)
            while not all((folder / rendition / "00000.ts").exists() for rendition in renditions):
                if encoding.done():
                    await encoding
                    raise RuntimeError("the encoder ended before every rendition had a segment")
                await asyncio.sleep(0.02)
            begun = time.monotonic() - began
            encoding.cancel()
            with suppress(asyncio.CancelledError):
                await encoding
    return probed, begun


@asynccontextmanager
async def _store(pace: float) -> AsyncIterator[S3ObjectStore]:
    """A store limited to `pace` bytes per second and connection."""
    with tempfile.TemporaryDirectory() as name:
        home, state, ports = Directories.at(Path(name)), State(), Ports({})
        server = SeaweedFS(home, ports, state.secrets, ports.pick("s3"))
        try:
            await asyncio.to_thread(server.start)
            async with Proxy.to(server.host, server.port) as proxy:
                settings = {
                    "DATABASE_URL": "postgresql://unused",
                    "S3_ENDPOINT_URL": f"http://{proxy.host}:{proxy.port}",
                    "S3_BUCKET": server.bucket,
                    "S3_ACCESS_KEY": server.access_key,
                    "S3_SECRET_KEY": server.secret_key,
                }
                async with S3ObjectStore.open(load(Config, settings)) as store:
                    proxy.to_client.delay = _PROXY_CHUNK / pace
                    yield store
        finally:
            await asyncio.to_thread(server.stop)
            home.remove()


async def _compare(path: Path, pace: float, rounds: int) -> list[list[object]]:
    taken: dict[str, list[tuple[float, float, int]]] = {_COPIED: [], _STREAMED: []}
    async with _store(pace) as store:
        video_id = uuid4()
        await store.put(source_key(video_id), path, content_type="video/mp4")
        for _ in range(rounds):
            for way, max_copied in ((_COPIED, 5 << 30), (_STREAMED, 0)):
                counting = _Counting(store)
                probed, begun = await _to_first_segments(counting, video_id, max_copied=max_copied)
                taken[way].append((probed, begun, counting.requests))
                sys.stderr.write(f"{way}: {probed:.2f} {begun:.2f} {counting.requests}\n")
    return [
        [way, *(f"{median(values):.2f}" for values in list(zip(*runs, strict=True))[:2]), runs[0][2]]
        for way, runs in taken.items()
    ]


def _looped_film(folder: Path, megabytes: int) -> Path:
    film = REAL_FILM if REAL_FILM.is_file() else make_source(folder, 20, height=720, fit=True)
    times = megabytes * 1_000_000 // film.stat().st_size
    path = folder / "film.mp4"
    ffmpeg("-v", "error", "-stream_loop", str(times), "-i", str(film), "-c", "copy", str(path))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--megabytes", type=int, default=350)
    parser.add_argument("--pace", type=float, default=50, help="MB/s per connection to the store")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        film = _looped_film(Path(name), options.megabytes)
        rows = asyncio.run(_compare(film, options.pace * 1e6, options.rounds))
    header = ["source", "probed after s", "first segments after s", "requests"]
    command = f"python -m benchmarks.encode.streaming --megabytes {options.megabytes} --pace {options.pace:g}"
    sys.stdout.write(f"{table(header, rows)}\n\n{circumstances(command)}\n")


if __name__ == "__main__":
    main()
