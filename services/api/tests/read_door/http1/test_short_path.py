"""The short path of HTTP/1.1 changes no answer: the same bytes go to a connection with it and one without."""

import random
import re
from typing import Any, cast

import pytest

from gostream_api.auth.authenticator import OpenDoor
from gostream_api.read_door.backlog import Backlog
from gostream_api.read_door.http1.calls import JsonTable
from gostream_api.read_door.http1.connection import Http1Connection
from gostream_api.read_door.limits import Limits
from gostream_api.rpc.interceptors.limits import ConcurrencyLimiter
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
]
VARYING = re.compile(rb"date: [^\r]*|x-request-id: [0-9a-f]{32}")


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def connection(reads: Any, *, is_short: bool) -> tuple[Http1Connection, Wire]:
    limiter = ConcurrencyLimiter(max_calls=10, max_streams=1)
    table = JsonTable(reads, limiter, "elsewhere", OpenDoor(), is_short=is_short)
    made, wire = Http1Connection(table, Limits(), Backlog(), lambda _: None), Wire()
    made.connection_made(cast("Any", wire))
    return made, wire


def mutated(chance: random.Random) -> bytes:
    """Returns a usual request, or one with a few changes."""
    data = bytearray(chance.choice(USUAL))
    for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
        at = chance.randrange(len(data))
        if chance.random() < 0.5:
            data[at : at + chance.choice((0, 0, 1, 36))] = chance.choice(PIECES)
        else:
            data[at] = chance.choice(b"aA0-/ \r\n:\x00\xff")
    return bytes(data)


@pytest.mark.parametrize("seed", range(20))
async def test_short_path_changes_no_answer(reads: Any, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(50):
        (short, first), (plain, second) = (connection(reads, is_short=each) for each in (True, False))
        for _ in range(12):
            data = b"".join(mutated(chance) for _ in range(chance.choice((1, 1, 1, 2))))
            cuts = sorted(chance.sample(range(len(data)), chance.choice((0, 0, 0, 1, 2))))
            for part in (data[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)):
                short.data_received(part)
                plain.data_received(part)
            assert VARYING.sub(b"", first.written) == VARYING.sub(b"", second.written), data
        assert b"HTTP/1.1 5" not in first.written.replace(b"HTTP/1.1 505", b"")


async def test_usual_requests_take_short_path(reads: Any, monkeypatch: Any) -> None:
    made, wire = connection(reads, is_short=True)
    made.data_received(USUAL[0])
    monkeypatch.setattr(made._parser, "feed", None)
    made.data_received(USUAL[1])
    made.data_received(USUAL[0])

    assert re.findall(rb"HTTP/1.1 (\d+)", wire.written) == [b"200", b"404", b"200"]
