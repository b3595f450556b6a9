"""The short path of HTTP/1.1 changes no answer: the same bytes go to a connection with it and one without."""

import asyncio
import random
import re
from collections.abc import Mapping
from typing import Any, cast

import pytest

from gostream_api.auth.authenticator import Authenticator, Credential, OpenDoor
from gostream_api.principal import Principal
from gostream_api.read_door.backlog import Backlog
from gostream_api.read_door.http1.calls import JsonTable
from gostream_api.read_door.http1.connection import Http1Connection
from gostream_api.read_door.limits import Limits
from gostream_api.rpc.interceptors.limits import ConcurrencyLimiter
from services.api.tests.read_door.conftest import Tokens
from tests.support.wire.raw_http import request

HOT, ABSENT = (f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 3))
USUAL = [
    request(f"/v1/videos/{HOT}"),
    request(f"/v1/videos/{ABSENT}"),
    request(f"/v1/videos/{HOT}", "User-Agent: test", "Accept: */*"),
    request(f"/v1/videos/{HOT}", "X-Request-Id: a"),
    request(f"/v1/videos/{HOT}", "Connection: close"),
    request(f"/v1/videos/{HOT}", "Content-Length: 3"),
    request(f"/v1/videos/{HOT}?min_version=2"),
]
SHOWN = [
    request(f"/v1/videos/{video_id}", *headers)
    for video_id in (HOT, HOT, ABSENT)
    for headers in (
        ("Authorization: Bearer reader",),
        ("Accept: */*", "authorization: bearer reader", "User-Agent: test"),
        ("Authorization: Bearer writer",),
        ("Authorization: Bearer unknown",),
        ("Authorization: Bearer new",),
        ("Authorization:  Bearer reader",),
        ("Authorization: Bearer  reader",),
        ("Authorization: Bearer reader ",),
        ("AUTHORIZATION: Bearer reader",),
        ("Authorization: Basic reader",),
        ("Authorization: Bearer reader", "Authorization: Bearer writer"),
        ("Authorization: Bearer unknown", "authorization: Bearer reader"),
        ("Authorization: Bearer reader", "X-Gostream-Subject: bob"),
        ("X-Authorization: Bearer reader",),
        ("X: a", " Authorization: Bearer reader"),
        (),
    )
]
PIECES = [
    b"\r\n",
    b"\r",
    b"\n",
    b" ",
    b"\0",
    b"/",
    b"?",
    b"%",
    b":",
    b"\r\n\r\n",
    b"Content-Length: 1\r\n",
    b"A",
    b"Authorization: Bearer reader\r\n",
    b"\r\nauthorization: ",
    b"Bearer writer",
]
VARYING = re.compile(rb"date: [^\r]*|x-request-id: [0-9a-f]{32}")


class Wire:
    """A transport that keeps what is written."""

    def __init__(self, facts: Mapping[str, object]) -> None:
        self.written = b""
        self._facts = facts

    def get_extra_info(self, name: str) -> object:
        return self._facts.get(name)

    def write(self, data: bytes) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def table_of(reads: Any, authenticator: Authenticator | None = None, *, is_short: bool = True) -> JsonTable:
    limiter = ConcurrencyLimiter(max_calls=10, max_streams=1)
    return JsonTable(reads, limiter, "elsewhere", authenticator or OpenDoor(), is_short=is_short)


def connected(table: JsonTable, **facts: object) -> tuple[Http1Connection, Wire]:
    """A connection whose transport has these facts."""
    made, wire = Http1Connection(table, Limits(), Backlog(), lambda _: None), Wire(facts)
    made.connection_made(cast("Any", wire))
    return made, wire


async def settled() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


def mutated(chance: random.Random, requests: list[bytes]) -> bytes:
    """Returns one of the requests, or one with a few changes."""
    data = bytearray(chance.choice(requests))
    for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
        at = chance.randrange(len(data))
        if chance.random() < 0.5:
            data[at : at + chance.choice((0, 0, 1, 36))] = chance.choice(PIECES)
        else:
            data[at] = chance.choice(b"aA0-/ \r\n:\x00\xff")
    return bytes(data)


@pytest.mark.parametrize("shows", [False, True], ids=["open", "tokens"])
@pytest.mark.parametrize("seed", range(20))
async def test_short_path_changes_no_answer(reads: Any, seed: int, shows: bool) -> None:
    chance, requests = random.Random(seed), [*USUAL, *SHOWN] if shows else USUAL
    for _ in range(50):
        (short, first), (plain, second) = (
            connected(table_of(reads, Tokens() if shows else OpenDoor(), is_short=each))
            for each in (True, False)
        )
        for _ in range(12):
            data = b"".join(mutated(chance, requests) for _ in range(chance.choice((1, 1, 1, 2))))
            cuts = sorted(chance.sample(range(len(data)), chance.choice((0, 0, 0, 1, 2))))
            for part in (data[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)):
                short.data_received(part)
                plain.data_received(part)
                if shows:
                    await settled()
            assert VARYING.sub(b"", first.written) == VARYING.sub(b"", second.written), data
        assert b"HTTP/1.1 5" not in first.written.replace(b"HTTP/1.1 505", b"")


@pytest.mark.parametrize("number", range(len(USUAL + SHOWN)))
async def test_repeated_request_is_answered_alike(reads: Any, number: int) -> None:
    data, tokens = (USUAL + SHOWN)[number], Tokens()
    (short, first), (plain, second) = (
        connected(table_of(reads, tokens, is_short=each)) for each in (True, False)
    )
    for _ in range(3):
        for each in (short, plain):
            each.data_received(data)
            await settled()

    assert VARYING.sub(b"", first.written) == VARYING.sub(b"", second.written)


async def test_usual_requests_take_short_path(reads: Any, monkeypatch: Any) -> None:
    made, wire = connected(table_of(reads))
    made.data_received(USUAL[0])
    monkeypatch.setattr(made._parser, "feed", None)
    made.data_received(USUAL[1])
    made.data_received(USUAL[0])

    assert statuses(wire) == [b"200", b"404", b"200"]


async def test_begun_request_is_not_answered(reads: Any) -> None:
    whole = USUAL[0]
    table = table_of(reads)
    for cut in range(1, len(whole)):
        for _ in range(2):  # the second connection of a learnt request
            made, wire = connected(table)
            made.data_received(whole[:cut])
            assert not wire.written, cut
            made.data_received(whole[cut:])
            made.data_received(whole)
            assert statuses(wire) == [b"200", b"200"], cut


def statuses(wire: Wire) -> list[bytes]:
    return re.findall(rb"HTTP/1.1 (\d+)", wire.written)


@pytest.mark.parametrize("header", ["Authorization: Bearer {}", "authorization: Bearer {}"])
async def test_requests_with_tokens_take_short_path(reads: Any, monkeypatch: Any, header: str) -> None:
    """Every caller's, after the first one's, and none without the check of the token."""
    tokens = Tokens()
    made, wire = connected(table_of(reads, tokens))

    def ask(token: str) -> None:
        made.data_received(request(f"/v1/videos/{HOT}", header.format(token), "Accept: */*"))

    ask("reader")
    monkeypatch.setattr(made._parser, "feed", None)
    for token in ("reader", "writer", "unknown", "new", "reader"):
        ask(token)
        await settled()
    tokens.known.clear()
    ask("reader")
    await settled()

    assert statuses(wire) == [b"200", b"200", b"403", b"401", b"200", b"200", b"401"]


async def test_short_path_asks_with_the_certificate(reads: Any) -> None:
    """What one connection has learnt answers another one as its own caller."""

    class Certificates(Tokens):
        def now(self, token: Credential, certificate: Credential = None) -> Principal | None:
            return self.known[b"Bearer reader"] if certificate == b"spiffe://a/b" else None

    table = table_of(reads, Certificates())
    names = (("URI", "spiffe://a/b"),)
    (ours, first), (theirs, second) = (
        connected(table, peercert={"subjectAltName": names}),
        connected(table),
    )
    for _ in range(2):
        ours.data_received(USUAL[0])
        theirs.data_received(USUAL[0])
        await settled()

    assert (statuses(first), statuses(second)) == ([b"200"] * 2, [b"401"] * 2)
