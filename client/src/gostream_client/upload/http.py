"""One HTTP/1.1 request with a body, over a new connection. h11 reads and writes the protocol."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import h11

CONNECT_SECONDS = 10.0
#: Seconds to wait for 100 Continue or a refusal before the body is sent.
CONTINUE_SECONDS = 10.0
_ANSWER_LIMIT = 4096
_READ_BYTES = 1 << 16


class InvalidUrlError(Exception):
    """The URL or a header cannot be sent."""


class ConnectionFailedError(Exception):
    """The connection failed before the response was complete; the message has the cause."""


@dataclass(frozen=True, slots=True)
class Response:
    """A status and the first bytes of the body."""

    status: int
    body: bytes


async def send(
    method: str, url: str, headers: Mapping[str, str], size: int, body: AsyncGenerator[bytes, None]
) -> Response:
    """Sends `size` bytes of `body` and returns the response. The URL is sent unchanged, because it may be
    signed.

    The server can refuse the request before the body is sent (100-continue), and while it is. Redirects are
    not followed, proxies are not used. Raises InvalidUrlError, ConnectionFailedError, and what `body` raises.
    """
    parts, request = _request(method, url, headers, size)
    connection = h11.Connection(h11.CLIENT)
    try:
        first = connection.send(request)
    except h11.LocalProtocolError as error:
        raise InvalidUrlError(str(error)) from None
    try:
        reader, writer = await _connect(parts)
        try:
            writer.write(first or b"")
            return await _exchange(connection, reader, writer, body)
        finally:
            writer.transport.abort()
    except h11.RemoteProtocolError as error:
        raise ConnectionFailedError(str(error)) from None
    except OSError as error:
        raise ConnectionFailedError(error.strerror or str(error) or type(error).__name__) from None


def _request(method: str, url: str, headers: Mapping[str, str], size: int) -> tuple[SplitResult, h11.Request]:
    try:
        parts = urlsplit(url)
        usable = (
            parts.scheme in ("http", "https")
            and parts.hostname
            and "@" not in parts.netloc
            and parts.port != 0
        )
        own = {"Host": parts.netloc, "Content-Length": str(size), "Expect": "100-continue"}
        pairs = [(name.encode("ascii"), value.encode()) for name, value in (*own.items(), *headers.items())]
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = h11.Request(method=method.encode("ascii"), target=target.encode("ascii"), headers=pairs)
    except (ValueError, h11.LocalProtocolError) as error:
        raise InvalidUrlError(str(error)) from None
    if not usable:
        raise InvalidUrlError(url)
    return parts, request


async def _connect(parts: SplitResult) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = await asyncio.to_thread(ssl.create_default_context) if parts.scheme == "https" else None
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await asyncio.open_connection(
                parts.hostname,
                parts.port or (443 if context else 80),
                ssl=context,
                happy_eyeballs_delay=0.25,
            )
    except TimeoutError:
        raise ConnectionFailedError(f"no connection within {CONNECT_SECONDS:.0f} s") from None


async def _exchange(
    connection: h11.Connection,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    body: AsyncGenerator[bytes, None],
) -> Response:
    """Sends the body, or its part until the response arrives. Returns the response."""
    may_send = asyncio.Event()
    receiving = asyncio.create_task(_receive(connection, reader, may_send))
    sending = asyncio.create_task(_send_body(connection, writer, body, may_send))
    try:
        await asyncio.wait({receiving, sending}, return_when=asyncio.FIRST_COMPLETED)
        if not receiving.done():
            await sending  # raises what `body` raises
        return await receiving
    finally:
        for task in (receiving, sending):
            task.cancel()
        await asyncio.gather(receiving, sending, return_exceptions=True)


async def _send_body(
    connection: h11.Connection,
    writer: asyncio.StreamWriter,
    body: AsyncGenerator[bytes, None],
    may_send: asyncio.Event,
) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(may_send.wait(), CONTINUE_SECONDS)
    # If the server closes the connection in the middle, its response tells more than the failed write.
    with suppress(ConnectionError):
        async with aclosing(body):
            async for chunk in body:
                writer.write(connection.send(h11.Data(data=chunk)) or b"")
                await writer.drain()
        connection.send(h11.EndOfMessage())


async def _receive(
    connection: h11.Connection, reader: asyncio.StreamReader, may_send: asyncio.Event
) -> Response:
    """Returns the response. Sets `may_send` at 100 Continue."""
    status, text = 0, bytearray()
    while len(text) < _ANSWER_LIMIT:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.InformationalResponse):
            may_send.set()
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            text += event.data
        elif isinstance(event, h11.EndOfMessage):
            break
        else:
            raise ConnectionFailedError("the server closed the connection")
    return Response(status, bytes(text[:_ANSWER_LIMIT]))
