"""A TCP proxy on loopback that can cut, swallow and redirect what goes through it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """Forwards its port to `target`; while `blackhole` is set, bytes vanish and nobody is told."""

    target: tuple[str, int]
    host: str = "127.0.0.1"
    port: int = 0
    blackhole: bool = False
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @classmethod
    @asynccontextmanager
    async def to(cls, host: str, port: int) -> AsyncIterator["Proxy"]:
        """Open while the block runs."""
        proxy = cls((host, port))
        server = await asyncio.start_server(proxy._serve, proxy.host)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            proxy.cut()
            await server.wait_closed()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        mine = {writer, upstream_writer}
        self._writers |= mine
        ways = [
            asyncio.create_task(self._copy(reader, upstream_writer)),
            asyncio.create_task(self._copy(upstream_reader, writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for each in mine:
            each.transport.abort()
        await asyncio.wait(ways)
        self._writers -= mine

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if not self.blackhole:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            return
