"""Unary gRPC calls built byte by byte, including requests that no client library sends."""

import socket
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

Headers = tuple[tuple[str, str], ...]

#: Headers that differ between replies or belong to the hop.
_INCIDENTAL = {b"date", b"server", b"grpc-accept-encoding", b"accept-encoding"}


@dataclass(frozen=True)
class Request:
    """A request; `body` includes the length prefix."""

    body: bytes
    method: str = "GetVideo"
    headers: Headers = ()
    content_type: str = "application/grpc"
    authority: str = "localhost"
    verb: str = "POST"
    te: str = "trailers"  # empty: no such header


@dataclass
class Reply:
    """A reply."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    trailers: dict[bytes, bytes] = field(default_factory=dict)
    data: bytes = b""
    end: str = ""

    @property
    def outcome(self) -> tuple[dict[bytes, bytes], dict[bytes, bytes], bytes]:
        """Everything by which a caller can distinguish two doors."""
        headers = {name: value for name, value in self.headers.items() if name not in _INCIDENTAL}
        return headers, self.trailers, self.data

    @property
    def status(self) -> int:
        return int((self.trailers or self.headers)[b"grpc-status"])


def frame(message: bytes, *, flags: int = 0, length: int | None = None) -> bytes:
    """Prefixes the message with `length`, which may be false."""
    return bytes((flags,)) + (len(message) if length is None else length).to_bytes(4, "big") + message


def call(address: str, request: Request, *, timeout: float = 10.0, before: int = 0) -> Reply:
    """Sends the request on a new connection and waits for the end of the stream.

    The same call is made `before` times on the connection first.
    """
    host, port = address.rsplit(":", 1)
    connection = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    with socket.create_connection((host, int(port)), timeout=timeout) as link:
        connection.initiate_connection()
        path = f"/gostream.v1.VideoService/{request.method}"
        pseudo = (
            (":method", request.verb),
            (":scheme", "http"),
            (":path", path),
            (":authority", request.authority),
        )
        usual = (("content-type", request.content_type), *((("te", request.te),) if request.te else ()))
        for stream in range(1, 2 * before + 2, 2):
            connection.send_headers(stream, [*pseudo, *usual, *request.headers])
            reply = _exchange(link, connection, stream, request.body)
            if reply.end != "ended":
                break
        return reply


def _exchange(link: socket.socket, connection: H2Connection, stream: int, rest: bytes) -> Reply:
    reply, is_sent = Reply(), False
    while not reply.end:
        room = min(connection.local_flow_control_window(stream), connection.max_outbound_frame_size)
        if not is_sent and (room or not rest):
            part, rest = rest[:room], rest[room:]
            is_sent = not rest
            connection.send_data(stream, part, end_stream=is_sent)
            link.sendall(connection.data_to_send())
            continue
        link.sendall(connection.data_to_send())
        received = link.recv(65536)
        if not received:
            reply.end = "closed"
        for event in connection.receive_data(received):
            _take(reply, connection, event)
    return reply


def _take(reply: Reply, connection: H2Connection, event: Event) -> None:
    if isinstance(event, ResponseReceived):
        reply.headers = {bytes(name): bytes(value) for name, value in event.headers}
    elif isinstance(event, TrailersReceived):
        reply.trailers = {bytes(name): bytes(value) for name, value in event.headers}
    elif isinstance(event, DataReceived):
        reply.data += event.data
        connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
    elif isinstance(event, StreamEnded):
        reply.end = "ended"
    elif isinstance(event, StreamReset):  # also NO_ERROR, if the reply precedes the request's end
        reply.end = "reset"
    elif isinstance(event, ConnectionTerminated):
        reply.end = "gone"
