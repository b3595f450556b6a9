"""GoStream's cache behind the read door: each replica process has an API and reads by gRPC."""

import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
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
from gostream_devstack.servers.api import Api
from gostream_devstack.servers.service import python

_TIMEOUT = 10.0
_METHOD = "/gostream.v1.VideoService/GetVideo"


class _SlowApi(Api):
    """An API with delayed database reads."""

    load_delay = 0.0

    def environment(self) -> Mapping[str, str]:
        own = {"PYTHONPATH": str(REPOSITORY), LOAD_DELAY: str(self.load_delay), "LOG_LEVEL": "ERROR"}
        return {**super().environment(), **own}

    def command(self) -> Sequence[str]:
        return python("benchmarks.coherence.slow_api")


class Behind:
    """Implements Reader; writers announce in their own process."""

    def __init__(self, api: Api, channel: aio.Channel) -> None:
        self._api = api
        self._call: Any = channel.unary_unary(_METHOD, GetVideoRequest.SerializeToString, Video.FromString)

    async def get(self, video_id: UUID) -> int:
        return int((await self._call(GetVideoRequest(id=str(video_id)), timeout=_TIMEOUT)).version)

    async def counters(self) -> dict[str, int]:
        async with aiohttp.ClientSession() as session, session.get(self._api.metrics_url) as answer:
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
    """Starts an API and stops it after the block."""
    with running_api(environment, load_delay) as api:
        async with aio.insecure_channel(api.read_address) as channel:
            yield Behind(api, channel)


@contextmanager
def running_api(environment: Mapping[str, str], load_delay: float) -> Iterator[Api]:
    """Starts an API with delayed database reads and stops it after the block."""
    with tempfile.TemporaryDirectory(prefix="gostream-bench-") as folder:
        home, ports = Directories.at(Path(folder)), Ports({})
        port, metrics_port, read_port = (ports.pick(name) for name in ("api", "metrics", "reads"))
        settings = {**environment, "CDN_BASE_URL": "http://cdn.test", "SHUTDOWN_DELAY": "0s"}
        api = _SlowApi(home, "api", port, metrics_port, settings, read_port)
        api.load_delay = load_delay
        try:
            api.start()
            yield api
        finally:
            api.stop()
            home.remove()
