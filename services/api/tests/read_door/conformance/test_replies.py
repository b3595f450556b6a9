"""What RFC 9113 requires of the frames that a server sends, and of the beginning of a connection."""

import asyncio
from typing import Any

import pytest
from hpack import Decoder

from tests.support.wire.http2 import ACK, DATA, HEADERS, PING, PREFACE, SETTINGS, Seen, frame, settings
from tests.support.wire.http2_calls import FRAME_SIZE, LAST, PROTOCOL, call, exchange, window


@pytest.mark.parametrize(
    "sent",
    [
        PREFACE + call(LAST),
        PREFACE + frame(PING, payload=bytes(8)) + settings() + call(LAST),
        PREFACE + frame(SETTINGS, ACK) + call(LAST),
        PREFACE[:-1] + b"x" + settings() + call(LAST),
        PREFACE + PREFACE + settings() + call(LAST),
    ],
    ids=["no settings", "late settings", "ack first", "wrong byte", "twice"],
)
async def test_invalid_preface_ends_connection(started: Any, sent: bytes) -> None:
    seen = await exchange(started.port, sent, first=b"")

    assert seen.goaway in (None, PROTOCOL, FRAME_SIZE)
    assert not seen.has_ended(LAST)


async def test_server_begins_with_settings(started: Any) -> None:
    seen = await exchange(started.port, settings() + call(), until=1)

    assert seen.frames[0][:3] == (SETTINGS, 0, 0)


async def test_each_settings_frame_is_acknowledged(started: Any) -> None:
    seen = await exchange(started.port, settings() + settings((4, 9), (4, 65535)) * 3 + call(), until=1)

    assert [flags for flags, _ in seen.of(SETTINGS)] == [0, ACK, ACK, ACK, ACK]


async def test_pings_are_answered_in_order(started: Any) -> None:
    pings = [bytes((number,)) * 8 for number in range(5)]
    sent = b"".join(frame(PING, payload=ping) for ping in pings)

    seen = await exchange(started.port, settings() + sent + call(), until=1)

    assert list(seen.of(PING)) == [(ACK, ping) for ping in pings]


async def test_reply_headers_fit_smaller_table(started: Any) -> None:
    seen = await exchange(started.port, settings((1, 0)) + call() + call(3) + call(5), until=5)

    decoder = Decoder()
    decoder.max_allowed_table_size = 0
    decoder.header_table_size = 0
    blocks = [decoder.decode(payload, raw=True) for _, payload in seen.of(HEADERS)]
    assert len(blocks) == 6


async def test_reply_obeys_window_of_setting(started: Any) -> None:
    sizes = [settings((4, size)) + call(number) for number, size in ((1, 4), (3, 0), (5, 3))]
    rest = settings((4, 65535)) + call(LAST)

    seen = await exchange(started.port, settings() + b"".join(sizes) + rest, until=LAST)

    for stream in (1, 3, 5, LAST):
        assert (
            b"".join(payload for _, payload in seen.of(DATA, stream)) == b"\0\0\0\0\3" + started.reads.payload
        )


async def test_negative_window_holds_reply(started: Any) -> None:
    started.reads.payload = b"x" * 100
    shrunk = settings((4, 50)) + call() + settings((4, 10)) + window(41, 1)  # sent 50, so one byte is left
    probe = frame(PING, payload=bytes(8))
    reader, writer = await asyncio.open_connection("127.0.0.1", started.port)
    seen = Seen()
    writer.write(PREFACE + settings() + shrunk + probe)
    while not list(seen.of(PING)):
        seen.take(await reader.read(65536))

    assert sum(len(payload) for _, payload in seen.of(DATA, 1)) <= 51

    writer.write(window(1000, 1))
    while not seen.has_ended(1):
        seen.take(await reader.read(65536))
    writer.transport.abort()
    assert sum(len(payload) for _, payload in seen.of(DATA, 1)) == 105


async def test_reply_frames_obey_frame_limit(started: Any) -> None:
    started.reads.payload = b"x" * 200_000
    larger = settings((4, 2**20), (5, 2**20)) + window(2**20)

    seen = await exchange(started.port, settings() + larger + call(), until=1)

    assert max(len(payload) for _, payload in seen.of(DATA)) <= 16384
    assert sum(len(payload) for _, payload in seen.of(DATA)) == 200_005


async def test_connection_window_holds_replies(started: Any) -> None:
    started.reads.payload = b"x" * 60_000
    reader, writer = await asyncio.open_connection("127.0.0.1", started.port)
    seen = Seen()
    writer.write(PREFACE + settings() + call(1) + call(3) + frame(PING, payload=bytes(8)))
    while not (list(seen.of(PING)) and sum(len(payload) for _, payload in seen.of(DATA)) >= 65535):
        seen.take(await reader.read(65536))

    assert sum(len(payload) for _, payload in seen.of(DATA)) == 65535

    writer.write(window(100_000))
    while not seen.has_ended(3):
        seen.take(await reader.read(65536))
    writer.transport.abort()
    assert sum(len(payload) for _, payload in seen.of(DATA)) == 120_010
