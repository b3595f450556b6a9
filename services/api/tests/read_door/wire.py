"""Connections of the read door without sockets: bytes in, decoded frames out."""

import asyncio
from collections.abc import Callable
from typing import Any

from hpack import Decoder

from gostream_api.principal import ANONYMOUS
from gostream_api.read_door.backlog import Backlog
from gostream_api.read_door.http2.calls import CallTable
from gostream_api.read_door.http2.connection import Connection
from gostream_api.read_door.http2.frames import PREFACE
from gostream_api.read_door.http2.short.path import ShortPath
from gostream_api.read_door.limits import Limits
from gostream_api.rpc.interceptors.limits import ConcurrencyLimiter
from services.api.tests.read_door.conftest import Tokens

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x4, 0x8, 0x20

Frame = tuple[Any, ...]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def prefixed(message: bytes, flags: int = 0) -> bytes:
    return bytes((flags,)) + len(message).to_bytes(4, "big") + message


class Pipe(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.writes = 0

    def write(self, data: Any) -> None:
        self.sent += data
        self.writes += 1

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None: ...
    def abort(self) -> None: ...
    def is_closing(self) -> bool:
        return False


class Wired:
    """A connection over `reads`, with or without the short path, after the client's preface."""

    def __init__(self, reads: Any, *, is_short: bool) -> None:
        self.pipe = Pipe()
        limiter = ConcurrencyLimiter(max_calls=1000, max_streams=1)
        self.table = CallTable(reads, limiter, "elsewhere", Tokens(nobody=ANONYMOUS))
        gone: Callable[[Connection], None] = lambda _: None  # noqa: E731
        self.connection = Connection(self.table, Limits(), Backlog(), gone, is_short=is_short)
        self.connection.connection_made(self.pipe)
        self.hits = 0
        for method in self.table._methods.values():
            method._count_local_hit = self._count
        #: What the short path and the library have taken, one after the other.
        self.parts: list[bytes] = []
        self.short_parts: list[bytes] = []
        self._watch_parts()
        self.give(PREFACE + frame(SETTINGS))
        self.parts.clear()

    def give(self, data: bytes) -> None:
        self.connection.data_received(data)

    def frames(self) -> list[Frame]:
        """Returns the frames that the door has sent, with decoded headers, by stream.

        Their order among streams is free: the library answers a PING before the calls of the same part.
        """
        decoder = Decoder()
        decoder.max_allowed_table_size = 2**20
        found: list[Frame] = []
        data, block, is_end = bytes(self.pipe.sent), b"", 0
        while data:
            end = 9 + int.from_bytes(data[:3], "big")
            kind, flags, stream = data[3], data[4], int.from_bytes(data[5:9], "big")
            payload, data = data[9:end], data[end:]
            if kind not in (HEADERS, CONTINUATION):
                found.append((kind, flags, stream, payload))
                continue
            block = payload if kind == HEADERS else block + payload
            is_end = flags & END_STREAM if kind == HEADERS else is_end
            if flags & END_HEADERS:
                has_table_size = block[0] & 0xE0 == 0x20
                found.append((HEADERS, is_end, stream, has_table_size, decoder.decode(block, raw=True)))
        return sorted(found, key=lambda each: each[2])

    def state(self) -> Frame:
        """Returns what must not depend on the path that calls have taken."""
        h2, streams = self.connection._h2, self.connection._streams
        budgets = self.connection._watch._budgets
        return (
            h2.outbound_flow_control_window,
            h2.inbound.current_window_size,
            h2.inbound._bytes_processed,
            h2.highest_inbound_stream_id,
            streams.accepted,
            list(h2.received_table.dynamic_entries),
            {kind: budget._left for kind, budget in budgets.items()},
            self.hits,
        )

    def _count(self, parent: str | None = None) -> None:
        self.hits += 1

    def _watch_parts(self) -> None:
        short, take = self.connection._short, self.connection._take

        def watched(data: bytes, now: float) -> None:
            self.parts.append(data)
            take(data, now)

        self.connection._take = watched  # type: ignore[method-assign]
        if short is not None:
            self._watch_short(short)

    def _watch_short(self, short: ShortPath) -> None:
        answer = short.answer

        def watched(data: bytes, at: int, out: list[bytes], now: float) -> int:
            end = answer(data, at, out, now)
            if end > at:
                self.parts.append(data[at:end])
                self.short_parts.append(data[at:end])
            return end

        short.answer = watched  # type: ignore[method-assign]
