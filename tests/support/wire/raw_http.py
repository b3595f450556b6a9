"""An HTTP/1.1 client whose request bytes are built by the test."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Response:
    """One response; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class RawHttp:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int, **options: Any) -> "RawHttp":
        return cls(*await asyncio.open_connection("127.0.0.1", port, **options))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self, *, has_body: bool = True) -> Response:
        """Returns the next response. Raises IncompleteReadError if the connection ends before it."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:-2])
        body = await self.reader.readexactly(int(headers["content-length"])) if has_body else b""
        return Response(int(head[0].split()[1]), headers, body)

    async def ask(self, data: bytes) -> Response:
        self.send(data)
        return await self.response()

    async def end(self) -> bytes:
        """Waits for the end of the connection. Returns what arrives before it."""
        rest = b""
        try:
            while part := await self.reader.read(65536):
                rest += part
        except ConnectionError:
            pass
        return rest


def request(target: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    """Returns a request with a Host."""
    lines = [f"{method} {target} HTTP/{version}", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")
