"""Clients that break rules or exhaust resources: their connection ends, and the next client is served."""

from typing import Any

import pytest
from h2 import events
from h2.errors import ErrorCodes

from gostream_api.read_door.limits import MAX_BODIES, MAX_CONTINUATIONS, MAX_DATA_FRAMES, MAX_STREAMS

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 2, 3, 4, 6, 9
CALM = ErrorCodes.ENHANCE_YOUR_CALM


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


async def test_rapid_reset_ends_connection(started: Any, connect: Any) -> None:
    client = await connect(started)
    for number in range(1, 2 * 3000, 2):
        client.h2.send_headers(number, client.headers())
        client.h2.reset_stream(number, ErrorCodes.CANCEL)
    client.send()

    assert await client.goaway() == CALM
    assert started.reads.waiting == 0
    assert await started.ask()


async def test_reset_calls_leave_nothing(started: Any, connect: Any) -> None:
    client = await connect(started)
    for number in range(1, 201, 2):
        client.ask(number, "00000000-0000-0000-0000-000000000002")
        client.h2.reset_stream(number, ErrorCodes.CANCEL)
    client.ask(201)
    client.send()

    assert (await client.until(events.StreamEnded)).stream_id == 201
    assert started.reads.waiting == 0


@pytest.mark.parametrize(
    "flood",
    [
        frame(PING, payload=b"12345678"),
        frame(PING, flags=1, payload=b"12345678"),
        frame(SETTINGS),
        frame(SETTINGS, payload=b"\0\x04\0\0\xff\xff"),
        frame(PRIORITY, stream=1, payload=b"\0\0\0\0\x10"),
        frame(0xFA, payload=b"unknown"),
    ],
    ids=["ping", "ping ack", "settings", "window setting", "priority", "unknown"],
)
async def test_control_frame_flood_ends_connection(started: Any, connect: Any, flood: bytes) -> None:
    client = await connect(started)
    client.send(flood * 2000)

    assert await client.goaway() == CALM
    assert await started.ask()


async def test_endless_continuation_ends_connection(started: Any, connect: Any) -> None:
    client = await connect(started)
    client.send(frame(HEADERS, stream=1, payload=b"\x82"))
    client.send(frame(CONTINUATION, stream=1) * (MAX_CONTINUATIONS + 1))

    assert await client.goaway() == CALM
    assert await started.ask()


async def test_huge_header_block_ends_connection(started: Any, connect: Any) -> None:
    client = await connect(started)
    client.send(frame(HEADERS, stream=1, payload=b"\0\x01a\x7f" + b"\xff" * 100))
    client.send(frame(CONTINUATION, stream=1, payload=b"x" * 16384) * 9)

    assert await client.goaway() == CALM
    assert await started.ask()


async def test_header_bomb_ends_connection(started: Any, connect: Any) -> None:
    client = await connect(started)
    entry = b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000  # stored in the table, then repeated by one byte
    client.send(frame(HEADERS, flags=4, stream=1, payload=entry + b"\xbe" * 4000))

    assert await client.goaway() == CALM
    assert await started.ask()


async def test_oversized_headers_fail_only_their_call(started: Any, connect: Any) -> None:
    client = await connect(started)
    client.h2.remote_settings.update({6: 2**20})
    client.h2.send_headers(1, client.headers(("x-long", "y" * 40_000)), end_stream=True)
    client.ask(3)
    client.send()

    refused = dict((await client.until(events.ResponseReceived)).headers)
    assert refused["grpc-status"] == "8"
    assert (await client.until(events.TrailersReceived)).stream_id == 3


@pytest.mark.parametrize(
    "broken",
    [
        (("Upper", "case"),),
        (("connection", "close"),),
        (("x-null", "a\0b"),),
        ((":path", "/again"),),
        ((":late", "pseudo"),),
    ],
)
async def test_malformed_headers_reset_only_their_stream(
    started: Any, connect: Any, broken: tuple[tuple[str, str], ...]
) -> None:
    client = await connect(started)
    client.h2.config.normalize_outbound_headers = False
    client.h2.send_headers(1, client.headers(*broken), end_stream=True)
    client.ask(3)
    client.send()

    assert (await client.until(events.StreamReset)).error_code == ErrorCodes.PROTOCOL_ERROR
    assert (await client.until(events.TrailersReceived)).stream_id == 3


async def test_oversized_frame_ends_connection(started: Any, connect: Any) -> None:
    client = await connect(started)
    client.send((2**24 - 1).to_bytes(3, "big") + bytes((DATA, 0)) + b"\0\0\0\x01")

    assert await client.goaway() == ErrorCodes.FRAME_SIZE_ERROR
    assert await started.ask()


async def test_empty_data_flood_ends_connection(started: Any, connect: Any) -> None:
    client = await connect(started)
    client.h2.send_headers(1, client.headers())
    client.send(frame(DATA, stream=1) * 1000)

    assert await client.goaway() == CALM
    assert await started.ask()


async def test_padded_empty_data_is_bounded(started: Any, connect: Any) -> None:
    client = await connect(started)
    client.h2.send_headers(1, client.headers())
    client.send(frame(DATA, flags=8, stream=1, payload=b"\0") * MAX_DATA_FRAMES)

    assert dict((await client.until(events.ResponseReceived)).headers)["grpc-status"] == "8"


async def test_unfinished_bodies_are_bounded(started: Any, connect: Any) -> None:
    client = await connect(started)
    body = b"\0\0\x10\0\0" + b"x" * (2**20 - 1)  # one byte too short
    for number in range(1, 2 * (MAX_BODIES // len(body) + 2), 2):
        client.h2.send_headers(number, client.headers())
        await send_body(client, number, body)

    assert dict((await client.until(events.ResponseReceived)).headers)["grpc-status"] == "8"


async def send_body(client: Any, number: int, body: bytes) -> None:
    """Sends until the end of the body, or of the stream."""
    while body and not any(isinstance(event, events.StreamEnded) for event in client.seen):
        room = min(client.h2.local_flow_control_window(number), 16384)
        if room:
            client.h2.send_data(number, body[:room])
            client.send()
            body = body[room:]
        else:
            await client.receive()


async def test_too_many_streams_end_connection(started: Any, connect: Any) -> None:
    client = await connect(started)
    client.send()
    block = client.h2.encoder.encode(client.headers())
    client.send(b"".join(frame(HEADERS, 4, 2 * n + 1, block) for n in range(MAX_STREAMS + 1)))

    assert await client.goaway() == ErrorCodes.PROTOCOL_ERROR
    assert await started.ask()


async def test_connections_of_other_protocols_are_closed(started: Any, connect: Any) -> None:
    for greeting in (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\0" * 100):
        client = await connect(started)
        client.writer.write(greeting)
        await client.closed()

    assert await started.ask()


async def test_silent_connection_is_closed(start_door: Any, connect: Any) -> None:
    started = await start_door(handshake=0.1)
    client = await connect(started)

    await client.closed()

    assert await started.ask()


async def test_zero_window_ends_connection_after_stall(start_door: Any, connect: Any) -> None:
    started = await start_door(stall=0.2)
    client = await connect(started)
    client.h2.update_settings({4: 0})
    client.ask(1)
    client.send()

    assert await client.goaway() == CALM
    assert await started.ask()
