"""GoStream's cache behind the fast door: each replica process has a door and reads by gRPC."""

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
from grpc import aio
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.coherence.gostream_cache import COUNTED
from benchmarks.coherence.spec import LOAD_DELAY
from benchmarks.coherence.systems import Reader
from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import GetVideoRequest
from gostream_devstack.host.directories import REPOSITORY, Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.servers.fast_door import Door

_TIMEOUT = 10.0
_METHOD = "/gostream.v1.VideoService/GetVideo"


class _SlowDoor(Door):
    """A fast door with the harness's application."""

    load_delay = 0.0

    @property
    def _filters(self) -> Path:
        return self.directory / "door.yaml"

    def prepare(self) -> None:
        super().prepare()
        filters = (REPOSITORY / "deploy/envoy/door.yaml").read_text()
        self._filters.write_text(
            filters.replace("gostream_api.fast_door.asgi:app", "benchmarks.coherence.slow_door:app")
        )

    def environment(self) -> Mapping[str, str]:
        own = {"PYTHONPATH": str(REPOSITORY), LOAD_DELAY: str(self.load_delay), "LOG_LEVEL": "ERROR"}
        return {**super().environment(), **own}

    def command(self) -> Sequence[str]:
        *others, _ = super().command()
        return [*others, str(self._filters)]


class Behind:
    """Implements Reader; writers announce in their own process."""

    def __init__(self, door: Door, channel: aio.Channel) -> None:
        self._door = door
        self._call: Any = channel.unary_unary(_METHOD, GetVideoRequest.SerializeToString, Video.FromString)

    async def get(self, video_id: UUID) -> int:
        return int((await self._call(GetVideoRequest(id=str(video_id)), timeout=_TIMEOUT)).version)

    async def counters(self) -> dict[str, int]:
        async with aiohttp.ClientSession() as session, session.get(self._door.metrics_url) as answer:
            families = list(text_string_to_metric_families(await answer.text()))
        samples = [sample for family in families for sample in family.samples]
        return {
            name: round(
                sum(
                    sample.value
                    for labels in each
                    for sample in samples
                    if sample.name == metric and labels.items() <= sample.labels.items()
                )
            )
            for name, (metric, each) in COUNTED.items()
        }


@asynccontextmanager
async def open_door(environment: Mapping[str, str], load_delay: float) -> AsyncIterator[Reader]:
    """Starts a door and stops it after the block."""
    with tempfile.TemporaryDirectory(prefix="gostream-bench-") as folder:
        home, ports = Directories.at(Path(folder)), Ports({})
        numbers = [ports.pick(name) for name in ("door", "admin", "nobody", "metrics")]
        settings = {**environment, "CDN_BASE_URL": "http://cdn.test", "SHUTDOWN_DELAY": "0s"}
        door = _SlowDoor(home, numbers[0], numbers[1], [numbers[2]], numbers[3], settings)
        door.load_delay = load_delay
        try:
            door.start()
            async with aio.insecure_channel(f"{door.host}:{door.port}") as channel:
                yield Behind(door, channel)
        finally:
            door.stop()
            home.remove()
