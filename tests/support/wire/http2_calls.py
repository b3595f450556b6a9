"""Calls to the read door frame by frame, and the outcomes that the rules of HTTP/2 have."""

import asyncio
from dataclasses import dataclass

import pytest
from h2.errors import ErrorCodes

from gostream.v1.video_service_pb2 import GetVideoRequest
from tests.support.wire.http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    RST_STREAM,
    WINDOW_UPDATE,
    Pair,
    Seen,
    block,
    frame,
    number,
    settings,
)

HOT, COLD = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
#: The call that a connection must still answer.
LAST = 1001

PSEUDO = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/gostream.v1.VideoService/GetVideo"),
    (":authority", "localhost"),
)
USUAL = (("content-type", "application/grpc"), ("te", "trailers"))
GOOD = block((*PSEUDO, *USUAL))

PROTOCOL, FLOW_CONTROL, CLOSED, FRAME_SIZE, COMPRESSION = (
    ErrorCodes.PROTOCOL_ERROR,
    ErrorCodes.FLOW_CONTROL_ERROR,
    ErrorCodes.STREAM_CLOSED,
    ErrorCodes.FRAME_SIZE_ERROR,
    ErrorCodes.COMPRESSION_ERROR,
)


@dataclass(frozen=True)
class Ends:
    """The connection ends with a GOAWAY of this code."""

    code: ErrorCodes


@dataclass(frozen=True)
class Resets:
    """Stream 1 is reset with this code, and the connection goes on."""

    code: ErrorCodes


class Serves:
    """Nothing is reset, and the connection goes on."""


Outcome = Ends | Resets | Serves
SERVES = Serves()
#: Name, section, the bytes that are sent, and what must follow.
Row = tuple[str, str, bytes, Outcome]


def head(stream: int = 1, flags: int = END_HEADERS, payload: bytes = GOOD) -> bytes:
    return frame(HEADERS, flags, stream, payload)


def body(video_id: str = HOT) -> bytes:
    message = GetVideoRequest(id=video_id).SerializeToString()
    return b"\0" + len(message).to_bytes(4, "big") + message


def data(stream: int = 1, flags: int = END_STREAM, payload: bytes | None = None) -> bytes:
    return frame(DATA, flags, stream, body() if payload is None else payload)


def call(stream: int = 1, video_id: str = HOT, headers: bytes = GOOD) -> bytes:
    return head(stream, payload=headers) + data(stream, payload=body(video_id))


def waiting(stream: int = 1) -> bytes:
    """A whole request whose reply is not known: the stream is half-closed."""
    return call(stream, COLD)


def reset(stream: int = 1) -> bytes:
    return frame(RST_STREAM, 0, stream, number(ErrorCodes.CANCEL))


def window(increment: int, stream: int = 0) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, number(increment))


def with_headers(*more: Pair, pseudo: tuple[Pair, ...] = PSEUDO) -> bytes:
    return call(headers=block((*pseudo, *USUAL, *more)))


def without(name: str) -> tuple[Pair, ...]:
    return tuple(pair for pair in PSEUDO if pair[0] != name)


def replaced(name: str, value: str) -> tuple[Pair, ...]:
    return (*without(name), (name, value))


async def exchange(port: int, sent: bytes, *, until: int | None = None, first: bytes = PREFACE) -> Seen:
    """Sends bytes and returns what arrives before the end of the connection, or of a stream."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    seen = Seen()
    try:
        writer.write(first + sent)
        while until is None or not seen.has_ended(until):
            received = await reader.read(65536)
            if not received:
                break
            seen.take(received)
    finally:
        writer.transport.abort()
    return seen


def by_name(rows: list[Row]) -> pytest.MarkDecorator:
    """Parametrizes a test by rows."""
    return pytest.mark.parametrize(
        ("sent", "outcome"),
        [row[2:] for row in rows],
        ids=[f"{name} ({section})" for name, section, *_ in rows],
    )


async def check(port: int, sent: bytes, outcome: Outcome) -> None:
    """Asserts the outcome. After it the connection must answer a call, unless it has ended."""
    is_over = isinstance(outcome, Ends)
    seen = await exchange(port, settings() + sent + call(LAST), until=None if is_over else LAST)

    if isinstance(outcome, Ends):
        assert (seen.goaway, seen.has_ended(LAST)) == (outcome.code, False)
        return
    assert seen.goaway in (None, ErrorCodes.NO_ERROR)
    expected = {1: outcome.code} if isinstance(outcome, Resets) else {}
    assert {stream: code for stream, code in seen.resets.items() if code} == expected
    assert list(seen.of(DATA, LAST))
