"""GoStream itself: every server real, from the request to process until READY."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from gostream.v1 import video_pb2
from gostream_cli.client import Client, connect
from gostream_cli.follow import follow
from gostream_cli.transfer import SourceFile, put
from gostream_devstack.home import Home
from gostream_devstack.ports import Ports
from gostream_devstack.stack import Options, Stack
from gostream_devstack.state import State

from .media import Cost

_READY = video_pb2.Video.STATUS_READY


@dataclass(frozen=True)
class Published:
    """One video, and what it took. `first_play` is when a player could begin, in seconds.

    `own_cpu` is that part of the cost which is the worker's own process, without its children.
    """

    cost: Cost
    own_cpu: float
    first_play: float
    video: video_pb2.Video


class GoStream:
    """A stack with one replica and one worker."""

    def __init__(self, client: Client, worker: psutil.Process) -> None:
        self._client = client
        self._worker = worker

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator["GoStream"]:
        with tempfile.TemporaryDirectory() as folder:
            home = Home.at(Path(folder))
            stack = Stack(home, State(), Ports({}), Options(durable=False))
            try:
                await asyncio.to_thread(stack.start)
                async with connect(stack.env["GOSTREAM_API_ADDR"].split(",")[0]) as client:
                    yield cls(client, psutil.Process(stack.servers["worker-1"].pid))
            finally:
                await asyncio.to_thread(stack.stop)
                home.remove()

    async def publish(self, path: Path) -> Published:
        """Upload, then measure from the request to process on."""
        source = SourceFile(path)
        created = await self._client.create(
            title=path.stem, user_id="bench", content_type="video/mp4", size_bytes=source.size
        )
        await put(created.upload, source, on_sent=lambda _: None)
        (own, children), began, first_play = self._cpu(), time.monotonic(), 0.0
        video = await self._client.process(created.video.id)
        async with aclosing(follow(self._client, video.id, min_version=video.version)) as states:
            async for state in states:
                video = state
                if not first_play and (state.processing.playable_url or state.status == _READY):
                    first_play = time.monotonic() - began
        wall = time.monotonic() - began
        if video.status != _READY:
            raise RuntimeError(f"{video.error.code}: {video.error.message}")
        after = self._cpu()
        own, children = after[0] - own, after[1] - children
        return Published(Cost(wall, own + children), own, first_play, video)

    def _cpu(self) -> tuple[float, float]:
        """Seconds of the worker, and of the children it has waited for."""
        times = self._worker.cpu_times()
        return float(times.user + times.system), float(times.children_user + times.children_system)
