"""Published attacks on HTTP/2 servers: the connection ends, nothing is left, and others are served.

`test_abuse` has more of them: CVE-2023-44487 (rapid reset), CVE-2024-27316 (endless CONTINUATION),
CVE-2019-9512, 9513 and 9515 (floods of PING, PRIORITY and SETTINGS), 9518 (empty DATA) and CVE-2016-6581
(HPACK bomb).
"""

import asyncio
from typing import Any

import pytest
from h2.errors import ErrorCodes
from structlog.testing import capture_logs

from gostream_api.read_door.limits import Rate
from tests.support.wire.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PREFACE,
    Seen,
    block,
    frame,
    literal,
    settings,
)
from tests.support.wire.http2_calls import (
    COLD,
    GOOD,
    PSEUDO,
    USUAL,
    body,
    call,
    data,
    exchange,
    head,
    reset,
    waiting,
    window,
)

CALM = ErrorCodes.ENHANCE_YOUR_CALM
STREAMS = range(1, 4001, 2)


@pytest.mark.parametrize(
    "fault",
    [
        lambda stream: waiting(stream) + data(stream),
        lambda stream: waiting(stream) + head(stream, END_HEADERS | END_STREAM),
        lambda stream: waiting(stream) + window(2**31 - 1, stream),
        lambda stream: call(stream, COLD, headers=block((*PSEUDO, ("Upper", "case")))),
        lambda stream: call(stream, COLD, headers=GOOD + b"\x40\0\0" * 9),
        lambda stream: head(stream, END_HEADERS, b""),
    ],
    ids=[
        "data after the end",
        "headers after the end",
        "window overflow",
        "malformed headers (CVE-2019-9514)",
        "empty header names (CVE-2019-9516)",
        "empty headers (CVE-2019-9518)",
    ],
)
async def test_provoked_resets_end_connection(start_door: Any, fault: Any) -> None:
    """MadeYouReset, CVE-2025-8671: the server resets, so the client's RST_STREAM frames are not counted."""
    started = await start_door(resets=Rate(50, 0.1))

    seen = await exchange(started.port, settings() + b"".join(map(fault, range(1, 401, 2))))

    assert seen.goaway == CALM
    await wait_until(lambda: not started.reads.waiting)
    assert await started.ask()


async def wait_until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def test_few_provoked_resets_are_forgiven(started: Any) -> None:
    faults = b"".join(waiting(stream) + data(stream) for stream in range(1, 200, 2))

    seen = await exchange(started.port, settings() + faults + call(201), until=201)

    assert seen.goaway is None
    assert started.reads.waiting == 0


async def test_data_dribble_ends_connection(start_door: Any) -> None:
    """CVE-2019-9511: the client opens the window byte by byte."""
    started = await start_door(window_updates=Rate(1000, 1))
    started.reads.payload = b"x" * 100_000
    dribble = settings((4, 0)) + call() + window(1, 1) * 5000

    seen = await exchange(started.port, dribble)

    assert seen.goaway == CALM
    assert sum(len(payload) for _, payload in seen.of(DATA)) <= 1000
    assert await started.ask()


async def test_unread_replies_stay_in_bounds(start_door: Any) -> None:
    """CVE-2019-9517: the windows are open, and the client does not read its socket."""
    started = await start_door(stall=0.5, linger=0.1)
    started.reads.payload = b"x" * 1_000_000
    calls = b"".join(call(stream) for stream in range(1, 401, 2))
    _, writer = await asyncio.open_connection("127.0.0.1", started.port, limit=1024)
    writer.write(PREFACE + settings((4, 2**31 - 1)) + window(2**31 - 1 - 65535) + calls)
    [connection] = started.door._connections
    most = 0
    async with asyncio.timeout(30):
        while started.door._connections:
            most = max(most, connection._transport.get_write_buffer_size() + started.door._backlog.size)
            await asyncio.sleep(0.01)

    assert 0 < most < 10_000_000  # of 200 million
    assert await started.ask()
    writer.transport.abort()


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        settings(),
        settings() + frame(HEADERS, 0, 1, GOOD) + frame(CONTINUATION, 0, 1),
        settings() + call()[:-3],
    ],
    ids=["preface", "settings", "header block", "message"],
)
async def test_half_sent_requests_end_connection(start_door: Any, begun: bytes) -> None:
    """Slow loris: the client sends a part, then nothing, and answers no ping."""
    started = await start_door(handshake=0.5, keepalive=0.5, keepalive_reply=0.5, linger=0.1)

    seen = await exchange(started.port, begun)

    assert seen.goaway is None or seen.goaway == ErrorCodes.PROTOCOL_ERROR
    assert await started.ask()


async def test_dribbled_request_ends_with_age(start_door: Any) -> None:
    """Each byte proves that the client lives, but a request may not last longer than its connection."""
    started = await start_door(age=0.2, age_grace=0.2, goaway=0.05, linger=0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", started.port)
    writer.write(PREFACE + settings() + head())
    seen = Seen()

    async def dribble() -> None:
        for byte in data(payload=body() + b"\0" * 10_000):
            writer.write(bytes((byte,)))
            await asyncio.sleep(0.01)

    dribbling = asyncio.create_task(dribble())
    while received := await reader.read(65536):
        seen.take(received)
    dribbling.cancel()
    writer.transport.abort()

    assert list(seen.of(GOAWAY))
    assert await started.ask()


async def test_many_small_headers_fail_only_their_call(started: Any) -> None:
    """CVE-2016-1544: a few kilobytes that become thousands of headers."""
    stored = call(1, headers=GOOD + literal(b"x-a", b"b", 0x40))
    many = call(3, headers=GOOD + b"\xbe" * 2000)

    seen = await exchange(started.port, settings() + stored + many + call(5), until=5)

    assert seen.goaway is None
    assert not list(seen.of(DATA, 3))
    assert list(seen.of(DATA, 5))


async def test_table_size_flood_ends_connection(started: Any) -> None:
    """A header block of table sizes only is small work for the client and long work for the server."""
    sizes = b"\x20\x3f\xe1\x1f" * 4000

    seen = await exchange(started.port, settings() + head(payload=sizes) + data())

    assert seen.goaway == ErrorCodes.COMPRESSION_ERROR
    assert await started.ask()


async def test_text_of_client_is_cut_in_log(started: Any) -> None:
    headers = block((*PSEUDO, *USUAL, ("content-length", "9" * 10_000)))

    with capture_logs() as lines:
        await exchange(started.port, settings() + call(headers=headers))

    assert [len(line["reason"]) <= 200 for line in lines if line["event"] == "connection ended"] == [True]


@pytest.mark.slow
async def test_bystander_is_served_during_attack(started: Any) -> None:
    """Attackers reconnect as fast as they can; every call of another client succeeds."""
    flood = settings() + b"".join(waiting(stream) + reset(stream) for stream in STREAMS)
    is_over = False

    async def attack() -> int:
        ended = 0
        while not is_over:
            ended += (await exchange(started.port, flood)).goaway == CALM
        return ended

    attackers = [asyncio.create_task(attack()) for _ in range(4)]
    for _ in range(20):
        assert await started.ask(timeout=60) == started.reads.payload
    is_over = True

    assert sum(await asyncio.gather(*attackers)) > 0
    assert started.reads.waiting == 0
