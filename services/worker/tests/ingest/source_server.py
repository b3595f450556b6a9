"""An HTTP server of one file that misbehaves as told."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CHUNK = 1 << 16


@dataclass
class SourceServer:
    """Serves `body`. Each connection takes its faults from the front of the lists; an empty list has none."""

    body: bytes
    etag: str = '"one"'
    ranges: bool = True
    has_length: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    #: Bodies end after that many bytes, without a proper end.
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    #: Values of Location.
    redirects: list[str] = field(default_factory=list)
    #: Cleared: bodies stop after `held_at` bytes until it is set.
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    held_at: int = 0
    requests: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self.go_on.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/film.mp4?token=secret"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(await reader.readuntil(b"\r\n\r\n"), writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        lines = head.decode().split("\r\n")[1:]
        request = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        self.requests.append(request)
        if self.redirects:
            return self._head(writer, 302, {"Location": self.redirects.pop(0), "Content-Length": "0"})
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            return self._head(writer, status, {"Content-Length": "0"} | self.headers)
        start = self._start(request)
        rest = self.body[start:]
        headers = {"ETag": self.etag} if self.etag else {}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
        headers |= {"Content-Length": str(len(rest))} if self.has_length else {"Transfer-Encoding": "chunked"}
        self._head(writer, 206 if start else 200, headers | self.headers)
        cut = self.cuts.pop(0) if self.cuts else len(rest)
        await self._send(writer, rest[:cut], is_whole=cut >= len(rest))
        return None

    def _start(self, request: dict[str, str]) -> int:
        is_same = request.get("if-range") in (None, self.etag)
        if "range" not in request or not self.ranges or not is_same:
            return 0
        return int(request["range"].removeprefix("bytes=").removesuffix("-"))

    def _head(self, writer: asyncio.StreamWriter, status: int, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write(("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode())

    async def _send(self, writer: asyncio.StreamWriter, data: bytes, *, is_whole: bool) -> None:
        sent = 0
        while sent < len(data):
            if not self.go_on.is_set() and sent >= self.held_at:
                await self.go_on.wait()
            part = data[sent : sent + CHUNK]
            sent += len(part)
            writer.write(part if self.has_length else b"%x\r\n%b\r\n" % (len(part), part))
            await writer.drain()
        if is_whole and not self.has_length:
            writer.write(b"0\r\n\r\n")
        await writer.drain()


@asynccontextmanager
async def serving(
    server: SourceServer, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[SourceServer]:
    listening = await asyncio.start_server(server.answer, host, port, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.go_on.set()
        listening.close()
