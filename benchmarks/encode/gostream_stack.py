"""GoStream on real servers, from the request to process until READY."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from gostream.v1 import video_pb2
from gostream_client import AsyncClient
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.host.state import State
from gostream_devstack.instance.stack import Options, Stack

_READY = video_pb2.Video.STATUS_READY


@dataclass(frozen=True)
class Published:
    """One video and its costs. `first_play`: seconds until a player could start.

    `children_cpu`: CPU seconds of the worker's children.
    """

    wall: float
    children_cpu: float
    first_play: float
    video: video_pb2.Video


class GoStream:
    """A stack with one replica and one worker."""

    def __init__(
        self, client: AsyncClient, worker: psutil.Process, servers: Sequence[psutil.Process]
    ) -> None:
        self._client = client
        self._worker = worker
        self._servers = servers

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator["GoStream"]:
        with tempfile.TemporaryDirectory() as folder:
            home = Directories.at(Path(folder))
            stack = Stack(home, State(), Ports({}), Options(durable=False))
            try:
                await asyncio.to_thread(stack.start)
                async with AsyncClient(stack.env["GOSTREAM_API_ADDR"].split(",")[0]) as client:
                    processes = {name: psutil.Process(server.pid) for name, server in stack.servers.items()}
                    yield cls(client, processes.pop("worker-1"), list(processes.values()))
            finally:
                await asyncio.to_thread(stack.stop)
                home.remove()

    async def upload(self, path: Path) -> video_pb2.Video:
        """Uploads the source as a new video."""
        return await self._client.upload(path, user_id="bench")

    async def process(self, video: video_pb2.Video, profile: str, clock: Callable[[], float]) -> Published:
        """Processes the video until READY and measures with `clock`. Raises RuntimeError if it fails."""
        children, began, first_play = self.children_cpu(), clock(), 0.0
        video = await self._client.trigger_process(video.id, profile=profile)
        async with aclosing(self._client.watch(video.id, min_version=video.version)) as states:
            async for state in states:
                video = state
                if not first_play and (state.processing.playable_url or state.status == _READY):
                    first_play = clock() - began
        wall = clock() - began
        if video.status != _READY:
            raise RuntimeError(f"{video.error.code}: {video.error.message}")
        return Published(wall, self.children_cpu() - children, first_play, video)

    async def burst(self, videos: Sequence[video_pb2.Video], profile: str) -> float:
        """Processes all videos at once. Returns the seconds until all are READY.

        Raises RuntimeError if one fails.
        """
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for video in videos:
                tasks.create_task(self.process(video, profile, time.monotonic))
        return time.monotonic() - began

    def children_cpu(self) -> float:
        """CPU seconds of the worker's children, finished or not, and of theirs."""
        own = self._worker.cpu_times()
        return _with_children(self._worker) - float(own.user + own.system)

    def own_and_servers_cpu(self) -> tuple[float, float]:
        """CPU seconds of the worker's own process, and of all servers (store, database, API, ...)."""
        times = self._worker.cpu_times()
        return float(times.user + times.system), sum(map(_with_children, self._servers))

    def encoder(self) -> int | None:
        """Pid of the current encoder process, or None."""
        for child in self._worker.children():
            with suppress(psutil.NoSuchProcess):
                if child.name().startswith("ffmpeg") and child.status() != psutil.STATUS_ZOMBIE:
                    return int(child.pid)
        return None


def _with_children(process: psutil.Process) -> float:
    """CPU seconds of a server, its running children, and its finished children."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += float(times.user + times.system) + _children(times)
    return total


def _children(times: Any) -> float:
    """CPU seconds of finished children."""
    return float(times.children_user + times.children_system)
