"""What RFC 9113 and RFC 7541 require of a server that receives these headers and header blocks."""

from typing import Any

from tests.support.wire.http2 import END_HEADERS, END_STREAM, block, integer, literal
from tests.support.wire.http2_calls import (
    COLD,
    COMPRESSION,
    GOOD,
    PROTOCOL,
    PSEUDO,
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
    replaced,
    reset,
    waiting,
    with_headers,
    without,
)


def ending(*parts: bytes, stream: int = 1) -> bytes:
    """A call whose header block ends with these bytes."""
    return call(stream, headers=GOOD + b"".join(parts))


STORED = literal(b"x-a", b"b", 0x40)

MESSAGES: list[Row] = [
    ("length as declared", "8.1.1", with_headers(("content-length", str(len(body())))), SERVES),
    ("shorter than declared", "8.1.1", with_headers(("content-length", "99")), Ends(PROTOCOL)),
    ("longer than declared", "8.1.1", with_headers(("content-length", "3")), Ends(PROTOCOL)),
    ("upper case", "8.2.1", with_headers(("X-Upper", "a")), Resets(PROTOCOL)),
    ("space in name", "8.2.1", with_headers(("x y", "a")), Resets(PROTOCOL)),
    ("control character in name", "8.2.1", with_headers(("x\ty", "a")), Resets(PROTOCOL)),
    ("name beyond ASCII", "8.2.1", with_headers(("x\xe9", "a")), Resets(PROTOCOL)),
    ("empty name", "8.2.1", with_headers(("", "a")), Resets(PROTOCOL)),
    ("colon in name", "8.2.1", with_headers(("x:y", "a")), Resets(PROTOCOL)),
    ("NUL in value", "8.2.1", with_headers(("x-a", "a\0b")), Resets(PROTOCOL)),
    ("newline in value", "8.2.1", with_headers(("x-a", "a\nb")), Resets(PROTOCOL)),
    ("return in value", "8.2.1", with_headers(("x-a", "a\rb")), Resets(PROTOCOL)),
    ("space before value", "8.2.1", with_headers(("x-a", " a")), Resets(PROTOCOL)),
    ("tab after value", "8.2.1", with_headers(("x-a", "a\t")), Resets(PROTOCOL)),
    ("value beyond ASCII", "8.2.1", with_headers(("x-a", "\xe9")), SERVES),
    ("empty value", "8.2.1", with_headers(("x-a", "")), SERVES),
    *(
        (name, "8.2.2", with_headers((name, "close")), Resets(PROTOCOL))
        for name in ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")
    ),
    ("split cookies", "8.2.3", with_headers(("cookie", "a=1"), ("cookie", "b=2")), SERVES),
    *(
        (f"no {name}", "8.3.1", with_headers(pseudo=without(name)), Resets(PROTOCOL))
        for name in (":method", ":scheme", ":path")
    ),
    ("host instead of :authority", "8.3.1", with_headers(("host", "localhost"), pseudo=without(":authority")),
     SERVES),
    *(
        (f"{name} twice", "8.3.1", with_headers(pseudo=(*PSEUDO, (name, "x"))), Resets(PROTOCOL))
        for name in (":method", ":scheme", ":path", ":authority")
    ),
    ("late pseudo-header", "8.3", with_headers((":authority", "x"), pseudo=without(":authority")),
     Resets(PROTOCOL)),
    ("unknown pseudo-header", "8.3", with_headers(pseudo=(*PSEUDO, (":what", "x"))), Resets(PROTOCOL)),
    ("response's pseudo-header", "8.3", with_headers(pseudo=(*PSEUDO, (":status", "200"))), Resets(PROTOCOL)),
    ("empty path", "8.3.1", with_headers(pseudo=replaced(":path", "")), Resets(PROTOCOL)),
    ("CONNECT", "8.5", with_headers(pseudo=replaced(":method", "CONNECT")), Resets(PROTOCOL)),
    # Trailers mean nothing here, so nothing in them is detected as malformed.
    ("pseudo-header in trailers", "8.1.1", head() + data(flags=0, payload=body(COLD))
     + head(flags=END_HEADERS | END_STREAM, payload=block(((":path", "/"),))), SERVES),
]  # fmt: skip

HPACK: list[Row] = [
    ("index 0", "7541, 6.1", ending(b"\x80"), Ends(COMPRESSION)),
    ("index of empty table", "7541, 2.3.3", ending(b"\xbe"), Ends(COMPRESSION)),
    ("index beyond all tables", "7541, 2.3.3", ending(integer(9999, 7, 0x80)), Ends(COMPRESSION)),
    ("name beyond all tables", "7541, 2.3.3", ending(b"\x7f\x80\x01" + b"\x01a"), Ends(COMPRESSION)),
    ("table of 4096", "7541, 4.2", call(headers=integer(4096, 5, 0x20) + GOOD), SERVES),
    ("table of 0 and 4096", "7541, 4.2", call(headers=b"\x20" + integer(4096, 5, 0x20) + GOOD), SERVES),
    ("table of 4097", "7541, 6.3", call(headers=integer(4097, 5, 0x20) + GOOD), Ends(COMPRESSION)),
    ("late table size", "7541, 4.2", ending(b"\x20"), Ends(COMPRESSION)),
    ("three table sizes", "7541, 4.2", call(headers=b"\x20" * 3 + GOOD), Ends(COMPRESSION)),
    ("evicted entry", "7541, 4.4", ending(STORED) + call(3, headers=b"\x20" + GOOD)
     + ending(b"\xbe", stream=5), Ends(COMPRESSION)),
    ("entry larger than table", "7541, 4.4", ending(literal(b"x-a", b"b" * 4096, 0x40)), SERVES),
    ("stored entry", "7541, 6.2.1", ending(STORED) + ending(b"\xbe", stream=3),
     SERVES),
    ("entry stored by reset stream", "4.3", waiting() + reset() + ending(STORED, stream=3)
     + reset(3) + ending(b"\xbe", stream=5), SERVES),
    ("entry stored by malformed request", "4.3", call(headers=block((("A", "b"),)) + STORED)
     + ending(b"\xbe", stream=3), Resets(PROTOCOL)),
    ("never indexed", "7541, 6.2.3", ending(literal(b"x-a", b"b", 0x10)), SERVES),
    ("integer overflow", "7541, 5.1", ending(b"\xff" + b"\xff" * 11 + b"\x01"), Ends(COMPRESSION)),
    ("integer of many zeros", "7541, 5.1", ending(b"\xff" + b"\x80" * 4000 + b"\x01"), Ends(COMPRESSION)),
    ("integer without end", "7541, 5.1", ending(b"\xff\x80"), Ends(COMPRESSION)),
    ("string longer than block", "7541, 5.2", ending(b"\0\x01a\x7e" + b"x"), Ends(COMPRESSION)),
    ("huffman", "7541, 5.2", ending(b"\0\x03x-a\x81\x1f"), SERVES),
    ("huffman end of string", "7541, 5.2", ending(b"\0\x01a\x84\xff\xff\xff\xff"), Ends(COMPRESSION)),
    ("huffman padding of 8 bits", "7541, 5.2", ending(b"\0\x01a\x82\x1f\xff"), Ends(COMPRESSION)),
    ("huffman padding of zeros", "7541, 5.2", ending(b"\0\x01a\x81\x18"), Ends(COMPRESSION)),
    ("block ends inside a header", "4.3", head(payload=GOOD[:-3]), Ends(COMPRESSION)),
    ("empty block", "8.3.1", head(payload=b""), Resets(PROTOCOL)),
]  # fmt: skip


@by_name([*MESSAGES, *HPACK])
async def test_rule_of_headers_is_kept(started: Any, sent: bytes, outcome: Outcome) -> None:
    await check(started.port, sent, outcome)
