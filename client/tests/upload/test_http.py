"""The HTTP request of an upload: hostile URLs and servers, refusals in the middle, TLS."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gostream_client.upload import http
from gostream_client.upload.http import ConnectionFailedError, InvalidUrlError, Response, send
from tests.support.certificates import Files

SIZE = 16 << 20  # more than the kernel buffers
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 7\r\n\r\n<Error>"
Streams = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def body(size: int = SIZE) -> AsyncGenerator[bytes, None]:
    for _ in range(0, size, 1 << 20):
        yield bytes(min(size, 1 << 20))


@asynccontextmanager
async def listening(serve: Streams, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(one(reader, writer)))

    async with await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]
        for task in tasks:
            task.cancel()


def answering(answer: bytes) -> Streams:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return serve


async def put(port: int, size: int = SIZE) -> Response:
    return await send("PUT", f"http://127.0.0.1:{port}/a?b=%2F", {"x-a": "b"}, size, body(size))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/path",
        "ftp://127.0.0.1/x",
        "http://",
        "http://127.0.0.1:0/x",
        "http://127.0.0.1:99999/x",
        "http://user:secret@127.0.0.1/x",
        "http://127.0.0.1/ü",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/a\x00b",
        "http://[::1/x",
    ],
)
async def test_unusable_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrlError):
        await send("PUT", url, {}, SIZE, body())


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("PUT", {"x-a": "b\r\nx-c: d"}),
        ("PUT", {"x-a\r\nx-c": "d"}),
        ("PUT", {"": "d"}),
        ("PUT /x HTTP/1.1\r\n", {}),
        ("PUT", {"Content-Length": "1"}),
        ("PUT", {"Transfer-Encoding": "gzip"}),
    ],
)
async def test_headers_cannot_be_injected(method: str, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidUrlError):
        await send(method, "http://127.0.0.1:1/x", headers, SIZE, body())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00" * 100,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000,
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        CONTINUE,
        CONTINUE * 1000,
    ],
)
async def test_broken_answer_is_a_failed_connection(answer: bytes) -> None:
    async with listening(answering(answer)) as port:
        with pytest.raises(ConnectionFailedError):
            await put(port)


async def test_endless_answer_is_cut() -> None:
    answer = b"HTTP/1.1 403 Forbidden\r\n\r\n" + b"x" * 1_000_000
    async with listening(answering(answer)) as port:
        found = await put(port)

    assert (found.status, len(found.body)) == (403, 4096)


async def test_refusal_in_the_middle_is_reported() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CONTINUE)
        await reader.readexactly(100_000)
        writer.write(REFUSAL)
        await writer.drain()
        await asyncio.sleep(3600)  # reads no more: the client's writes wait

    async with listening(serve) as port:
        assert await put(port) == Response(400, b"<Error>")


async def test_server_without_continue_gets_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "CONTINUE_SECONDS", 0.05)
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readuntil(b"\r\n\r\n"))
        received.append(await reader.readexactly(SIZE))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with listening(serve) as port:
        assert await put(port) == Response(200, b"")
    assert received[0].startswith(b"PUT /a?b=%2F HTTP/1.1\r\n")
    assert len(received[1]) == SIZE


async def test_missing_server_is_a_failed_connection() -> None:
    with pytest.raises(ConnectionFailedError):
        await put(1)


async def test_https_checks_the_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(tmp_path / "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CONTINUE)
        await reader.readexactly(SIZE)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with listening(serve, context) as port:
        url = f"https://localhost:{port}/x"
        with pytest.raises(ConnectionFailedError, match="certificate"):
            await send("PUT", url, {}, SIZE, body())
        monkeypatch.setenv("SSL_CERT_FILE", str(files.ca))
        assert (await send("PUT", url, {}, SIZE, body())).status == 200
