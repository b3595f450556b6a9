"""The Prometheus endpoint: one port per process, without prometheus-client's multiprocess mode."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

from prometheus_client import REGISTRY, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from gostream_shared.listening import CannotListenError

#: Largest number of connections; more are closed. prometheus-client's server starts a thread for each one.
MAX_CONNECTIONS = 16
#: Seconds for one request, from the connection to the last byte of the response.
TIMEOUT = 5.0
_MAX_HEAD = 8 * 1024

# A creation time for every series doubles the response, and the process start time is enough.
disable_created_metrics()  # type: ignore[no-untyped-call]


@asynccontextmanager
async def serve_metrics(
    host: str, port: int, *, timeout: float = TIMEOUT, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve /metrics on the running loop and yield the port; 0 = any free port. Raises CannotListenError.

    Each connection serves one request within `timeout` seconds; at most `MAX_CONNECTIONS` are open.
    """
    connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(connections) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        connections[task] = writer
        try:
            async with asyncio.timeout(timeout):
                await _answer(reader, writer)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            del connections[task]

    try:
        # A deadline is an error without TLS.
        deadline = timeout if tls else None
        server = await asyncio.start_server(
            connected,
            host,
            port,
            limit=_MAX_HEAD,
            ssl=tls,
            ssl_handshake_timeout=deadline,
            ssl_shutdown_timeout=deadline,
        )
    except OSError:
        raise CannotListenError(host, port) from None
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in connections.values():
            writer.transport.abort()
        await asyncio.gather(*connections, return_exceptions=True)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    status, kind, body = _page(method, target, headers.get("accept", ""))
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")
    writer.write("\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else body))
    await writer.drain()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def _page(method: str, target: str, accept: str) -> tuple[HTTPStatus, str, bytes]:
    if method not in ("GET", "HEAD"):
        return HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b"GET and HEAD only\n"
    if target.partition("?")[0] not in ("/", "/metrics"):
        return HTTPStatus.NOT_FOUND, "text/plain", b"see /metrics\n"
    encode, kind = choose_encoder(accept)
    return HTTPStatus.OK, kind, encode(REGISTRY)
