"""The short path: which calls take it, and that otherwise nothing differs from the library.

Random clients speak to two doors. One has the short path; the other gets the same bytes, cut where the first
has changed between the short path and the library. Every frame that they send must be equal.
"""

import asyncio
import gzip
from collections.abc import Sequence
from typing import Any

import pytest
from hpack import Encoder, NeverIndexedHeaderTuple
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gostream.v1.video_service_pb2 import BatchGetVideosRequest, GetVideoRequest
from gostream_api.read_door.http2.short import header_blocks
from services.api.tests.read_door import wire
from services.api.tests.read_door.conftest import ABSENT, COLD, HOT, PATH, Reads
from services.api.tests.read_door.wire import Wired, frame, prefixed

BATCH = PATH.replace("GetVideo", "BatchGetVideos")
HOT_MESSAGE = GetVideoRequest(id=HOT).SerializeToString()
MESSAGES = {
    "hot": HOT_MESSAGE,
    "cold": GetVideoRequest(id=COLD).SerializeToString(),
    "absent": GetVideoRequest(id=ABSENT).SerializeToString(),
    "invalid": GetVideoRequest(id="x").SerializeToString(),
    "malformed": b"\x0a\x7f",
    "empty": b"",
}
BATCHES = {
    "batch": BatchGetVideosRequest(ids=[HOT]).SerializeToString(),
    "large batch": BatchGetVideosRequest(ids=[HOT] * 20).SerializeToString(),
}


class Client:
    """Builds the bytes of a client; request ids are given, so that replies can be compared."""

    def __init__(self) -> None:
        self.encoder = Encoder()
        self.stream = -1
        self.calls = 0

    def block(self, *more: tuple[Any, ...], path: str = PATH) -> bytes:
        usual = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
        return self.encoder.encode([*usual, *more], huffman=self.calls % 3 > 0)

    def headers(self, extra: str = "") -> list[tuple[Any, ...]]:
        """Returns the headers beyond the usual ones; some are the same in each call."""
        self.calls += 1
        given_id = ("x-request-id", f"call-{self.calls}" if "id" in extra else "always")
        found: list[tuple[Any, ...]] = [given_id]
        if "never" in extra:
            found = [NeverIndexedHeaderTuple(*given_id)]
        if "timeout" in extra:
            found.append(("grpc-timeout", f"{1000 + self.calls}S"))
        if "expired" in extra:
            found.append(("grpc-timeout", "0n"))
        if "trace" in extra:
            found.insert(0, ("traceparent", f"00-{self.calls:032x}-01"))
        if "other" in extra:
            found.append((f"x-{self.calls}", "y"))
        for name in ("reader", "writer", "stranger"):
            if name in extra:
                found.append(("authorization", f"Bearer {name}"))
        if "subject" in extra:
            found.append(("x-gostream-subject", "bob"))
        if "gzip" in extra:
            found.append(("grpc-encoding", "gzip"))
        if "twice" in extra:
            found.append(("x-request-id", f"second-{self.calls}"))
        return found

    def call(self, what: str = "hot", extra: str = "", shape: str = "", skip: int = 0) -> bytes:
        self.stream += 2 + 2 * skip
        path, message = (BATCH, BATCHES[what]) if what in BATCHES else (PATH, MESSAGES[what])
        body = prefixed(message)
        if "gzip" in extra:
            body = prefixed(gzip.compress(message), 1)
        if shape == "flag":
            body = b"\x02" + body[1:]
        if shape == "long":
            body += b"more"
        if shape == "short":
            body = body[:-1]
        return self._shaped(self.block(*self.headers(extra), path=path), body, shape)

    def _shaped(self, block: bytes, body: bytes, shape: str) -> bytes:
        stream, end, all_headers = self.stream, wire.END_STREAM, wire.END_HEADERS
        head = frame(wire.HEADERS, all_headers, stream, block)
        data = frame(wire.DATA, end, stream, body)
        if shape == "padded":
            data = frame(wire.DATA, end | wire.PADDED, stream, b"\x03" + body + bytes(3))
        elif shape == "padded head":
            head = frame(wire.HEADERS, all_headers | wire.PADDED, stream, b"\x02" + block + bytes(2))
        elif shape == "priority":
            head = frame(wire.HEADERS, all_headers | wire.WITH_PRIORITY, stream, b"\0\0\0\0\x10" + block)
        elif shape == "continued":
            head = frame(wire.HEADERS, 0, stream, block[:7])
            head += frame(wire.CONTINUATION, all_headers, stream, block[7:])
        elif shape == "two frames":
            data = frame(wire.DATA, 0, stream, body[:9]) + frame(wire.DATA, end, stream, body[9:])
        elif shape == "late end":
            data = frame(wire.DATA, 0, stream, body) + frame(wire.DATA, end, stream)
        elif shape == "no end":
            data = frame(wire.DATA, 0, stream, body)
        elif shape == "windows":
            data = self.window(1000, stream) + self.window(280, stream) + data + self.window(8)
        elif shape == "headers only":
            head, data = frame(wire.HEADERS, all_headers | end, stream, block), b""
        elif shape == "reset":
            data += frame(wire.RST_STREAM, 0, stream, b"\0\0\0\x08")
        elif shape == "other stream":
            data = frame(wire.DATA, end, max(1, stream - 2), body)
        elif shape == "old stream":
            head, data = frame(wire.HEADERS, all_headers, max(1, stream - 4), block), b""
        elif shape == "even stream":
            head = frame(wire.HEADERS, all_headers, stream + 1, block)
        return head + data

    @staticmethod
    def window(size: int, stream: int = 0) -> bytes:
        return frame(wire.WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))

    @staticmethod
    def setting(code: int, value: int) -> bytes:
        return frame(wire.SETTINGS, 0, 0, code.to_bytes(2, "big") + value.to_bytes(4, "big"))

    def control(self, what: str) -> bytes:
        stream = max(self.stream, 1)
        if what == "new table":
            self.encoder.header_table_size = 0
            self.encoder.header_table_size = 4096
            return b""
        if what.startswith("table"):
            self.encoder.header_table_size = int(what[5:])
            return b""
        if what.startswith("window"):
            return self.setting(4, int(what[6:]))
        return {
            "ping": frame(wire.PING, 0, 0, b"12345678"),
            "pong": frame(wire.PING, 1, 0, b"12345678"),
            "more": self.window(5000),
            "zero": self.window(0),
            "too much": self.window(2**31 - 1),
            "stream more": self.window(70, stream),
            "stream zero": self.window(0, stream),
            "priority": frame(wire.PRIORITY, 0, stream + 6, b"\0\0\0\0\x10"),
            "unknown": frame(0xFA, 0, stream, b"unknown"),
            "reset": frame(wire.RST_STREAM, 0, stream, b"\0\0\0\x08"),
            "reset idle": frame(wire.RST_STREAM, 0, stream + 20, b"\0\0\0\x08"),
            "late data": frame(wire.DATA, wire.END_STREAM, stream, b"late"),
            "our table": self.setting(1, 100),
            "our table 0": self.setting(1, 0),
            "frame size": self.setting(5, 20_000),
            "settings ack": frame(wire.SETTINGS, 1),
            "goaway": frame(7, 0, 0, bytes(8)),
            "continuation": frame(wire.CONTINUATION, 4, stream, b""),
            "push": frame(5, 4, stream, b"\0\0\0\x02\x82"),
        }[what]


USUAL = (
    *("", "id", "timeout", "id timeout", "id timeout trace", "never id", "timeout never id"),
    *("reader", "id timeout reader", "writer", "id writer"),
)
UNUSUAL = (
    *("other", "expired", "gzip", "id twice", "other id timeout"),
    *("stranger", "id stranger", "reader subject", "reader writer"),
)
SHAPES = (
    *("padded", "padded head", "priority", "continued", "two frames", "late end", "no end", "headers only"),
    *("reset", "flag", "long", "short"),
)
FATAL_SHAPES = ("old stream", "even stream", "other stream")
CONTROLS = (
    *("ping", "pong", "more", "stream more", "priority", "unknown", "reset", "our table", "our table 0"),
    *(
        "frame size",
        "settings ack",
        "window0",
        "window40",
        "window700",
        "window1000000",
        "table0",
        "table200",
    ),
    *("table4096", "late data", "new table", "new table"),
)
FATAL = ("zero", "too much", "stream zero", "goaway", "continuation", "push", "reset idle")

Step = tuple[str, ...]
Script = tuple[bool, list[Step], list[Step], list[Step]]
calls = st.tuples(
    st.just("call"),
    st.sampled_from((*["hot"] * 4, *MESSAGES, *BATCHES)),
    st.sampled_from((*USUAL, *USUAL, *UNUSUAL)),
    st.sampled_from((*[""] * 12, *["windows"] * 6, *SHAPES)),
)
usual = st.tuples(
    st.just("call"),
    st.sampled_from(("hot", "hot", "batch")),
    st.sampled_from(USUAL),
    st.sampled_from(("", "", "windows")),
)
controls = st.tuples(st.just("control"), st.sampled_from(CONTROLS))
ends = st.one_of(
    st.tuples(st.just("control"), st.sampled_from(FATAL)),
    st.tuples(st.just("call"), st.just("hot"), st.just(""), st.sampled_from(FATAL_SHAPES)),
)
steps = st.tuples(
    st.booleans(),
    st.lists(st.one_of(usual, usual, usual, calls, controls), min_size=3, max_size=40),
    st.lists(ends, max_size=1),
    st.lists(usual, max_size=3),
)
cuts = st.lists(st.integers(min_value=1, max_value=3000), min_size=1, max_size=8)


def spoken(client: Client, script: Sequence[Step]) -> bytes:
    return b"".join(
        client.call(step[1], step[2], step[3]) if step[0] == "call" else client.control(step[1])
        for step in script
    )


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def compare(data: bytes, sizes: Sequence[int]) -> Wired:
    """Gives both doors the bytes in parts of these sizes, then again and again; asserts equal frames."""
    short_reads, full_reads = (
        Reads(payload=b"\x0a\x80\x02" + b"x" * 256),
        Reads(payload=b"\x0a\x80\x02" + b"x" * 256),
    )
    short, full = Wired(short_reads, is_short=True), Wired(full_reads, is_short=False)
    try:
        position = turn = 0
        while position < len(data):
            size = sizes[turn % len(sizes)]
            short.give(data[position : position + size])
            for part in short.parts:
                full.give(part)
            short.parts.clear()
            await settled()
            position, turn = position + size, turn + 1
        for door, reads in ((short, short_reads), (full, full_reads)):
            reads.loaded.set()
            await settled()
            door.give(Client.window(2**20))
            await settled()
        assert short.frames() == full.frames()
        assert short.state() == full.state()
    finally:
        for door in (short, full):
            door.connection.connection_lost(None)
        await settled()
    return short


@example((False, [("call", "hot", "", "")] * 3, [("control", "continuation")], []), [154])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps, cuts)
def test_random_clients_see_no_difference(script: Script, sizes: list[int]) -> None:
    speak(script, sizes)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps, cuts)
def test_many_random_clients_see_no_difference(script: Script, sizes: list[int]) -> None:
    speak(script, sizes)


def speak(script: Script, sizes: list[int]) -> None:
    is_without_table, *parts = script
    client = Client()
    if is_without_table:
        client.control("table0")
    asyncio.run(compare(spoken(client, [step for part in parts for step in part]), sizes))


@pytest.mark.parametrize("table", ["table0", "table4096"])
@pytest.mark.parametrize("what", ["hot", "absent", "invalid", "malformed", "batch"])
async def test_repeated_calls_take_short_path(table: str, what: str) -> None:
    client = Client()
    client.control(table)
    data = spoken(client, [("call", what, "", "")] * 9)

    short = await compare(data, [len(data)])

    assert len(b"".join(short.short_parts)) > 0.5 * len(data)


@pytest.mark.parametrize(
    "extra", ["id", "timeout", "id timeout trace", "timeout never id", "reader", "id timeout writer"]
)
async def test_varying_headers_take_short_path(extra: str) -> None:
    client = Client()
    client.control("table0")
    data = spoken(client, [("call", "hot", extra, "windows")] * 20)

    short = await compare(data, [len(data)])

    assert len(b"".join(short.short_parts)) > 0.6 * len(data)


@pytest.mark.parametrize("extra", ["other", "expired", "id twice"])
async def test_unknown_headers_take_long_path(extra: str) -> None:
    client = Client()
    client.control("table0")
    short = await compare(spoken(client, [("call", "hot", extra, "")] * 6), [1000])

    assert not [part for part in short.short_parts if part[3] == wire.HEADERS]


@pytest.mark.parametrize("length", [300, 1500, 3000])
async def test_long_tokens_take_short_path(length: int) -> None:
    """Tokens of RSA keys have a thousand characters and more."""
    client, token = Client(), ("authorization", "Bearer reader" + "." * length)
    client.control("table0")
    data = b"".join(
        frame(wire.HEADERS, wire.END_HEADERS, stream, client.block(token, ("x-request-id", "always")))
        + frame(wire.DATA, wire.END_STREAM, stream, prefixed(HOT_MESSAGE))
        for stream in range(1, 19, 2)
    )
    short = await compare(data, [len(data)])

    assert len(b"".join(short.short_parts)) > 0.7 * len(data)


async def test_new_table_size_is_sent_before_short_replies() -> None:
    client = Client()
    client.control("table0")
    usual_calls = [("call", "hot", "", "")] * 4
    script = [*usual_calls, ("control", "our table"), *usual_calls]
    parts = [spoken(client, [step]) for step in script]

    await compare(b"".join(parts), [len(part) for part in parts])


async def test_same_bytes_mean_another_method_after_table_change() -> None:
    client = Client()
    calls_of = {what: [("call", what, "", "")] * 4 for what in ("hot", "batch")}
    data = spoken(client, [*calls_of["hot"], ("control", "new table"), *calls_of["batch"]])
    short = await compare(data, [len(data)])

    blocks = [part[9:15] for part in short.short_parts if part[3] == wire.HEADERS]
    assert len(blocks) == 2
    assert len(set(blocks)) == 1
    assert short.hits == 8


async def test_replies_of_one_read_are_one_write() -> None:
    client = Client()
    data = spoken(client, [("call", "hot", "", "")] * 30)
    short = await compare(data, [len(data)])

    assert short.pipe.writes <= 4  # the settings, the calls, and the window at the end


async def test_memory_of_blocks_is_bounded() -> None:
    client = Client()
    client.control("table0")
    short = await compare(spoken(client, [("call", "hot", "other", "")] * 100), [5000])

    blocks = short.connection._short._blocks  # type: ignore[union-attr]
    assert 0 < len(blocks.exact) <= header_blocks.MAX_BLOCKS
    assert sum(map(len, blocks.exact)) <= header_blocks.MAX_BYTES
