"""A TCP proxy on loopback that can delay, hold, drop, cut and redirect traffic per direction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(eq=False)
class Way:
    """One direction of every connection."""

    delay: float = 0.0  # minimum seconds of transit
    blackhole: bool = False  # bytes are dropped without an error
    held: int = 0  # bytes waiting for `release`
    passed: int = 0  # bytes so far
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._open.set()

    def hold(self) -> None:
        """Holds bytes until `release`."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def cut(self) -> None:
        """Closes this direction; the other stays open."""
        for writer in self._ends:
            writer.write_eof()

    async def copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forwards bytes until either end closes."""
        self._ends.add(writer)
        try:
            while data := await reader.read(65536):
                await self._pass(len(data))
                self.passed += len(data)
                if not self.blackhole:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            return
        finally:
            self._ends.discard(writer)

    async def _pass(self, size: int) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        self.held += size
        try:
            await self._open.wait()
        finally:
            self.held -= size


@dataclass
class Proxy:
    """Forwards a port to `target`."""

    target: tuple[str, int]
    host: str = "127.0.0.1"
    port: int = 0
    refuses: bool = False  # resets new connections
    to_server: Way = field(default_factory=Way)
    to_client: Way = field(default_factory=Way)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @classmethod
    @asynccontextmanager
    async def to(cls, host: str, port: int) -> AsyncIterator["Proxy"]:
        """Listens until the block ends."""
        proxy = cls((host, port))
        server = await asyncio.start_server(proxy._serve, proxy.host)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            proxy.cut()
            await server.wait_closed()

    def blackhole(self, on: bool) -> None:
        """Drops all bytes in both directions, like a half-open connection."""
        self.to_server.blackhole = self.to_client.blackhole = on

    def cut(self) -> None:
        """Resets every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.refuses:
                raise ConnectionRefusedError
            upstream_reader, upstream_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        mine = {writer, upstream_writer}
        self._writers |= mine
        ways = [
            asyncio.create_task(self.to_server.copy(reader, upstream_writer)),
            asyncio.create_task(self.to_client.copy(upstream_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in mine:
                each.transport.abort()
            for way in ways:
                way.cancel()  # the direction may be held
            await asyncio.wait(ways)
            self._writers -= mine
