"""A TCP proxy on loopback that can make connections half-open: open, but without data."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

_CHUNK = 65536


class Proxy:
    """Forwards to a port. A connection that has subscribed is a bus."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._buses: set[_Link] = set()
        self._loop = asyncio.new_event_loop()

    @contextlib.contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Forwards in a new thread until the block ends."""
        thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        thread.start()
        try:
            server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
            self.port = server.sockets[0].getsockname()[1]
            try:
                yield self
            finally:
                asyncio.run_coroutine_threadsafe(self._end(server), self._loop).result(10)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(10)
            self._loop.close()

    def blackhole_buses(self) -> int:
        """Drops all data of the current buses, in both directions. Returns their number."""
        return asyncio.run_coroutine_threadsafe(self._blackhole(), self._loop).result(10)

    async def _blackhole(self) -> int:
        holed = [link for link in self._buses if not link.holed]
        for link in holed:
            link.holed = True
        return len(holed)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _end(self, server: asyncio.Server) -> None:
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link()
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        try:
            up = asyncio.create_task(self._pump(reader, up_writer, link, upwards=True))
            down = asyncio.create_task(self._pump(up_reader, writer, link, upwards=False))
            _, rest = await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
        finally:
            self._buses.discard(link)
            up_writer.close()
            writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: "_Link", *, upwards: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if upwards and b"SUBSCRIBE" in data:
                    self._buses.add(link)
                if not link.holed:
                    writer.write(data)
                    await writer.drain()


class _Link:
    """One connection through the proxy."""

    __slots__ = ("holed",)

    def __init__(self) -> None:
        self.holed = False
