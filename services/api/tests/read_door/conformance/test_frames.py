"""What RFC 9113 requires of a server that receives these frames.

Each row has the bytes that follow the preface and the client's SETTINGS, and the outcome. Where the
connection goes on, it must answer a further call.
"""

from typing import Any

from tests.support.wire.http2 import (
    ACK,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    PADDED,
    PING,
    PRIORITISED,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    block,
    frame,
    number,
    settings,
)
from tests.support.wire.http2_calls import (
    CLOSED,
    COLD,
    FLOW_CONTROL,
    FRAME_SIZE,
    GOOD,
    PROTOCOL,
    SERVES,
    Ends,
    Outcome,
    Resets,
    Row,
    body,
    by_name,
    call,
    check,
    data,
    head,
    reset,
    waiting,
    window,
)

FRAMES: list[Row] = [
    ("unknown type", "4.1", frame(0xFA, 0xFF, 0, b"what") + frame(0xFB, 0, 7), SERVES),
    ("unknown flags", "4.1", head(flags=END_HEADERS | 0xD2) + data(flags=END_STREAM | 0xF6), SERVES),
    ("unknown flags of ping", "4.1", frame(PING, 0xFE, 0, b"12345678"), SERVES),
    ("reserved bit of stream", "4.1", head(2**31 + 1) + data(2**31 + 1), SERVES),
    ("largest frame", "4.2", head() + data(flags=0, payload=b"\0\0\0\xff\xff".ljust(16384, b"x")), SERVES),
    ("data above limit", "4.2", head() + data(payload=bytes(16385)), Ends(FRAME_SIZE)),
    ("headers above limit", "4.2", head(payload=GOOD.ljust(16385, b"\x20")), Ends(FRAME_SIZE)),
    ("unknown type above limit", "4.2", frame(0xFA, payload=bytes(16385)), Ends(FRAME_SIZE)),
    ("data on stream 0", "6.1", data(0), Ends(PROTOCOL)),
    ("data without stream", "5.1", data(1), Ends(PROTOCOL)),
    (
        "padded data",
        "6.1",
        head() + data(flags=END_STREAM | PADDED, payload=b"\3" + body() + b"\0\0\0"),
        SERVES,
    ),
    ("padding as long as data", "6.1", head() + data(flags=PADDED, payload=b"\4xyz"), Ends(PROTOCOL)),
    ("padding longer than data", "6.1", head() + data(flags=PADDED, payload=b"\xffxyz"), Ends(PROTOCOL)),
    ("padding flag of empty data", "6.1", head() + data(flags=PADDED, payload=b""), Ends(FRAME_SIZE)),
    ("headers on stream 0", "6.2", head(0), Ends(PROTOCOL)),
    (
        "padded headers",
        "6.2",
        head(flags=END_HEADERS | PADDED, payload=b"\2" + GOOD + b"\0\0") + data(),
        SERVES,
    ),
    (
        "padding longer than headers",
        "6.2",
        head(flags=END_HEADERS | PADDED, payload=b"\xff" + GOOD[:9]),
        Ends(PROTOCOL),
    ),
    (
        "prioritised headers",
        "6.2",
        head(flags=END_HEADERS | PRIORITISED, payload=b"\0\0\0\0\x10" + GOOD) + data(),
        SERVES,
    ),
    (
        "priority of headers too short",
        "6.2",
        head(flags=END_HEADERS | PRIORITISED, payload=b"\0\0"),
        Ends(FRAME_SIZE),
    ),
    ("priority on stream 0", "6.3", frame(PRIORITY, 0, 0, b"\0\0\0\0\x10"), Ends(PROTOCOL)),
    ("priority of idle stream", "6.3", frame(PRIORITY, 0, 9, b"\0\0\0\x03\x10") + call(), SERVES),
    ("priority of closed stream", "6.3", call() + reset() + frame(PRIORITY, 0, 1, b"\0\0\0\x03\x10"), SERVES),
    ("priority of wrong length", "6.3", waiting() + frame(PRIORITY, 0, 1, b"\0\0\0\0"), Ends(FRAME_SIZE)),
    (
        "priority on itself",
        "RFC 7540, 5.3.1",
        waiting() + frame(PRIORITY, 0, 1, b"\0\0\0\x01\x10"),
        Ends(PROTOCOL),
    ),
    ("reset on stream 0", "6.4", reset(0), Ends(PROTOCOL)),
    ("reset of idle stream", "6.4", reset(7), Ends(PROTOCOL)),
    ("reset of wrong length", "6.4", waiting() + frame(RST_STREAM, 0, 1, b"\0\0\0"), Ends(FRAME_SIZE)),
    ("reset with unknown code", "7", waiting() + frame(RST_STREAM, 0, 1, number(0xFFFF)), SERVES),
    ("reset of reset stream", "5.1", waiting() + reset() + reset(), SERVES),
    ("settings on stream 1", "6.5", frame(SETTINGS, 0, 1), Ends(PROTOCOL)),
    ("settings of wrong length", "6.5", frame(SETTINGS, payload=b"\0\4\0\0"), Ends(FRAME_SIZE)),
    ("settings ack with payload", "6.5", frame(SETTINGS, ACK, payload=bytes(6)), Ends(FRAME_SIZE)),
    ("unknown setting", "6.5.2", settings((0xABCD, 7), (0, 1)), SERVES),
    ("push of 2", "6.5.2", settings((2, 2)), Ends(PROTOCOL)),
    ("initial window of 2^31", "6.5.2", settings((4, 2**31)), Ends(FLOW_CONTROL)),
    ("largest initial window", "6.5.2", settings((4, 2**31 - 1)), SERVES),
    ("max frame of 16383", "6.5.2", settings((5, 16383)), Ends(PROTOCOL)),
    ("max frame of 2^24", "6.5.2", settings((5, 2**24)), Ends(PROTOCOL)),
    ("no concurrent streams", "6.5.2", settings((3, 0)), SERVES),
    ("no table", "6.5.2", settings((1, 0)), SERVES),
    ("huge table", "6.5.2", settings((1, 2**32 - 1)), SERVES),
    ("same setting twice", "6.5.3", settings((4, 2**31 - 1), (4, 65535)), SERVES),
    (
        "push promise",
        "8.4",
        waiting() + frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + GOOD),
        Ends(PROTOCOL),
    ),
    ("ping on stream 1", "6.7", frame(PING, 0, 1, bytes(8)), Ends(PROTOCOL)),
    ("ping of 7 bytes", "6.7", frame(PING, payload=bytes(7)), Ends(FRAME_SIZE)),
    ("ping ack that was not asked for", "6.7", frame(PING, ACK, payload=bytes(8)), SERVES),
    ("goaway on stream 1", "6.8", frame(GOAWAY, 0, 1, bytes(8)), Ends(PROTOCOL)),
    ("goaway of 7 bytes", "6.8", frame(GOAWAY, payload=bytes(7)), Ends(FRAME_SIZE)),
    ("continuation on stream 0", "6.10", frame(CONTINUATION, END_HEADERS, 0, GOOD), Ends(PROTOCOL)),
    ("continuation first", "6.10", frame(CONTINUATION, END_HEADERS, 1, GOOD), Ends(PROTOCOL)),
    ("continuation after the end", "6.10", head() + frame(CONTINUATION, END_HEADERS, 1, b""), Ends(PROTOCOL)),
    (
        "split headers",
        "6.10",
        head(flags=0, payload=GOOD[:7])
        + frame(CONTINUATION, 0, 1, GOOD[7:30])
        + frame(CONTINUATION, END_HEADERS, 1, GOOD[30:])
        + data(),
        SERVES,
    ),
    (
        "empty continuations",
        "6.10",
        head(flags=0) + frame(CONTINUATION, 0, 1) * 3 + frame(CONTINUATION, END_HEADERS, 1) + data(),
        SERVES,
    ),
    ("data inside headers", "6.10", head(flags=0) + data(), Ends(PROTOCOL)),
    ("ping inside headers", "6.10", head(flags=0) + frame(PING, payload=bytes(8)), Ends(PROTOCOL)),
    ("unknown type inside headers", "6.10", head(flags=0) + frame(0xFA), Ends(PROTOCOL)),
    ("headers inside headers", "6.10", head(flags=0) + head(3), Ends(PROTOCOL)),
    (
        "continuation of another stream",
        "6.10",
        head(flags=0) + frame(CONTINUATION, END_HEADERS, 3),
        Ends(PROTOCOL),
    ),
]

STREAMS: list[Row] = [
    ("even stream", "5.1.1", call(2), Ends(PROTOCOL)),
    ("lower stream", "5.1.1", call(5) + call(3), Ends(PROTOCOL)),
    ("skipped streams", "5.1.1", call(1) + call(77), SERVES),
    ("headers of waiting stream", "5.1", waiting() + head(flags=END_HEADERS | END_STREAM), Resets(CLOSED)),
    ("data of waiting stream", "5.1", waiting() + data(), Resets(CLOSED)),
    ("priority of waiting stream", "5.1", waiting() + frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"), SERVES),
    ("window of waiting stream", "5.1", waiting() + window(9, 1), SERVES),
    ("data of reset stream", "5.1", waiting() + reset() + data(), Resets(CLOSED)),
    ("headers of reset stream", "5.1", waiting() + reset() + head(), Resets(CLOSED)),
    ("window of reset stream", "5.1", waiting() + reset() + window(9, 1), SERVES),
    (
        "trailers",
        "8.1",
        head()
        + data(flags=0, payload=body(COLD))
        + head(1, END_HEADERS | END_STREAM, block((("x-a", "b"),))),
        SERVES,
    ),
    (
        "trailers without end",
        "8.1",
        head() + data(flags=0, payload=b"") + head(payload=block((("x-a", "b"),))),
        Ends(PROTOCOL),
    ),
    ("zero window of connection", "6.9", window(0), Ends(PROTOCOL)),
    ("zero window of stream", "6.9", waiting() + window(0, 1), Ends(PROTOCOL)),
    ("window of wrong length", "6.9", frame(WINDOW_UPDATE, payload=b"\0\0\1"), Ends(FRAME_SIZE)),
    ("window of idle stream", "5.1", window(9, 7), Ends(PROTOCOL)),
    # The bit should be ignored; hyperframe takes it as a part of the number.
    ("reserved bit of window", "6.9", frame(WINDOW_UPDATE, payload=number(2**31 + 9)), Ends(PROTOCOL)),
    ("window of connection above 2^31", "6.9.1", window(2**31 - 1), Ends(FLOW_CONTROL)),
    ("window of stream above 2^31", "6.9.1", waiting() + window(2**31 - 1, 1), Resets(FLOW_CONTROL)),
    (
        "setting lifts window above 2^31",
        "6.9.2",
        waiting() + window(2**31 - 1 - 65535, 1) + settings((4, 65536)),
        Ends(FLOW_CONTROL),
    ),
    ("goaway of client", "6.8", frame(GOAWAY, payload=number(0) + number(0xFFFF) + b"because"), SERVES),
]


@by_name([*FRAMES, *STREAMS])
async def test_rule_of_frames_is_kept(started: Any, sent: bytes, outcome: Outcome) -> None:
    await check(started.port, sent, outcome)
