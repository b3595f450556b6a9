"""Keeps a process that forks probing children: the imports of a child take longer than most probes."""

import asyncio
import socket
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import structlog

from gostream_worker.probe.probe import PROBE_LIMITS, StartedProbe, starting_probe
from gostream_worker.sandbox.process import limited_child

_log = structlog.stdlib.get_logger("gostream.probe")
_MODULE = "gostream_worker.probe.forking.server"
#: Limits of the server: it lives as long as the worker, and has one descriptor for each running child. The
#: limits of the children are lower.
_LIMITS = replace(PROBE_LIMITS, cpu_seconds=1 << 30, open_files=1024)
#: Seconds until a killed child has ended. One that waits for a disk may take longer; no one waits for it.
_END = 10.0


class ForkedChild:
    """A fork of the server, as a process: it has three streams and an exit code."""

    def __init__(self, streams: list[tuple[StreamReader, StreamWriter]]) -> None:
        (_, self.stdin), (self.stdout, _), (self.stderr, _), (self._told, self._telling) = streams
        self._writers = [writer for _, writer in streams]
        self.returncode: int | None = None

    async def wait(self) -> int:
        """Waits for the end. Returns the exit code, or minus the number of the signal."""
        said = await self._told.read(16)
        if self.returncode is None:
            self.returncode = int(said or b"1")  # nothing is said if the server has ended
        return self.returncode

    async def end(self) -> None:
        """Kills the child if it runs, and waits for its end."""
        if self.returncode is None:
            with suppress(OSError):
                self._telling.write_eof()
            with suppress(TimeoutError, OSError):
                async with asyncio.timeout(_END):
                    await self.wait()
        for writer in self._writers:
            writer.close()


@dataclass(frozen=True, slots=True)
class _Server:
    """A server with its socket for requests. `process` ends with `stack`."""

    process: Process
    requests: socket.socket
    stack: AsyncExitStack


class ProbeServer:
    """Starts probes as forks of a process. It is replaced after a child that has crashed.

    Forks share the addresses of their code; after a crash, which may have been an attack, they change.
    """

    def __init__(self, *, sandbox_required: bool) -> None:
        self._sandbox_required = sandbox_required
        self._starting = asyncio.Lock()
        self._server: _Server | None = None
        #: Servers that take no more requests. They end with their last child.
        self._retired: list[_Server] = []

    @classmethod
    @asynccontextmanager
    async def kept(cls, *, sandbox_required: bool = False) -> AsyncIterator[Self]:
        """Keeps a server while the block runs, and ends it and its children afterwards."""
        server = cls(sandbox_required=sandbox_required)
        with suppress(OSError):
            await server._running()
        try:
            yield server
        finally:
            server._retire()
            for retired in server._retired:
                await retired.stack.aclose()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[StartedProbe]:
        """Yields a probe of one source. Its child has ended when the block ends."""
        try:
            child = await self._fork()
        except OSError as error:
            _log.warning("no forked probe", error=str(error))
            self._retire()
            async with starting_probe(sandbox_required=self._sandbox_required) as probe:
                yield probe
            return
        try:
            yield StartedProbe(child, sandbox_required=self._sandbox_required)
        finally:
            has_crashed = child.returncode not in (0, None)
            await child.end()
            if has_crashed:
                self._retire()

    async def _fork(self) -> ForkedChild:
        """Asks the server for a child. Raises OSError if it has ended or takes no more requests."""
        server = await self._running()
        pairs = [socket.socketpair() for _ in range(4)]
        try:
            socket.send_fds(server.requests, [b"+"], [theirs.fileno() for _, theirs in pairs])
        except OSError:
            for ours, _ in pairs:
                ours.close()
            raise
        finally:
            for _, theirs in pairs:
                theirs.close()
        for ours, _ in pairs:
            ours.setblocking(False)
        return ForkedChild([await asyncio.open_connection(sock=ours) for ours, _ in pairs])

    async def _running(self) -> _Server:
        async with self._starting:
            if self._server is None:
                self._server = await _start()
                await self._forget_ended()
            return self._server

    def _retire(self) -> None:
        if self._server:
            self._server.requests.close()
            self._retired.append(self._server)
            self._server = None

    async def _forget_ended(self) -> None:
        for server in [each for each in self._retired if each.process.returncode is not None]:
            self._retired.remove(server)
            await server.stack.aclose()


async def _start() -> _Server:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    numbers = (PROBE_LIMITS.cpu_seconds, PROBE_LIMITS.open_files)
    command = [sys.executable, "-I", "-m", _MODULE, *map(str, numbers)]
    stack = AsyncExitStack()
    with theirs:
        child = limited_child(command, _LIMITS, folder=Path("/"), stdin=theirs.fileno())
        return _Server(await stack.enter_async_context(child), ours, stack)
