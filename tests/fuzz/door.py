"""Fuzz target: any client of one connection of the read door.

An input is a program: each instruction is a byte and its arguments, and appends frames, valid or not. So the
mutations of a fuzzer reach states that random bytes do not.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from hpack import Decoder

from gostream.v1.video_service_pb2 import BatchGetVideosRequest, GetVideoRequest
from gostream_api.auth.authenticator import OpenDoor
from gostream_api.read_door.backlog import Backlog
from gostream_api.read_door.http2.calls import CallTable
from gostream_api.read_door.http2.connection import Connection
from gostream_api.read_door.limits import MAX_BODIES, MAX_QUEUED, MAX_STREAMS, Limits
from gostream_api.rpc.interceptors.limits import ConcurrencyLimiter
from tests.fuzz.reads import ABSENT, COLD, HOT, Reads
from tests.support.wire.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    WINDOW_UPDATE,
    Seen,
    block,
    frame,
    literal,
    number,
    settings,
)

_PSEUDO = ((":method", "POST"), (":scheme", "http"), (":authority", "localhost"))
_USUAL = (("content-type", "application/grpc"), ("te", "trailers"))
_PATH = "/gostream.v1.VideoService/"
_IDS = tuple(map(str, (HOT, COLD, ABSENT)))
_LARGEST = 1024 * 1024
_FRAMES = 400  # of one program


class Program:
    """Reads an input as instructions, and remembers whether it still is whole frames."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self.stream = 1  # the next one
        self._has_entry = False
        self.is_whole = True  # the client is at the end of a frame and of a header block
        self.chunks: list[bytes] = [PREFACE + settings()]
        self._todo: list[Callable[[], bytes]] = [
            self._call, self._call, self._head, self._body, self._frame, self._block, self._settings,
            self._window, self._reset, self._ping, self._split, self._entry, self._raw, self._batch,
            self._again,
        ]  # fmt: skip

    def run(self) -> "Program":
        for _ in range(_FRAMES):
            if self._at >= len(self._data):
                break
            made = self._todo[self._byte() % len(self._todo)]()
            if self._byte() % 4 == 0:  # a separate chunk
                self.chunks.append(b"")
            self.chunks[-1] += made
        return self

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def _bytes(self) -> bytes:
        size = self._byte()
        found = self._data[self._at : self._at + size]
        self._at += size
        return found

    def _known(self) -> int:
        """A stream that is open, was open or never was."""
        return max(0, self.stream - self._byte() % 8)

    def _headers(self, method: str = "GetVideo", *more: tuple[str, str]) -> bytes:
        return block((*_PSEUDO, (":path", _PATH + method), *_USUAL, *more))

    def _next(self) -> int:
        self.stream += 2
        return self.stream - 2

    def _message(self) -> bytes:
        message = GetVideoRequest(id=_IDS[self._byte() % 3]).SerializeToString()
        return b"\0" + number(len(message)) + message

    def _call(self) -> bytes:
        stream = self._next()
        head = frame(HEADERS, END_HEADERS, stream, self._headers())
        return head + frame(DATA, END_STREAM, stream, self._message())

    def _again(self) -> bytes:
        """Several equal calls, as a client makes them."""
        return b"".join(self._call() for _ in range(self._byte() % 8))

    def _batch(self) -> bytes:
        stream = self._next()
        message = BatchGetVideosRequest(ids=[_IDS[0]] * (self._byte() % 110)).SerializeToString()
        head = frame(HEADERS, END_HEADERS, stream, self._headers("BatchGetVideos"))
        return head + frame(DATA, END_STREAM, stream, b"\0" + number(len(message)) + message)

    def _head(self) -> bytes:
        timeout = ("grpc-timeout", f"{self._byte()}S")  # none expires while the program runs
        return frame(HEADERS, END_HEADERS, self._next(), self._headers("GetVideo", timeout))

    def _body(self) -> bytes:
        return frame(DATA, self._byte() & 9, self._known(), self._message())

    def _entry(self) -> bytes:
        """A call that stores a header, or uses a stored one."""
        if not self._has_entry or self._byte() % 2:
            self._has_entry, tail = True, literal(b"x-a", self._bytes(), 0x40)
        else:
            tail = b"\xbe"
        stream = self._next()
        head = frame(HEADERS, END_HEADERS, stream, self._headers() + tail)
        return head + frame(DATA, END_STREAM, stream, self._message())

    def _frame(self) -> bytes:
        kind, flags = self._byte() % 12, self._byte()
        if kind in (HEADERS, CONTINUATION) and not flags & END_HEADERS:
            self.is_whole = False
        return frame(kind, flags, self._known(), self._bytes())

    def _block(self) -> bytes:
        return frame(HEADERS, END_HEADERS | self._byte() % 2, self._next(), self._bytes())

    def _settings(self) -> bytes:
        return settings((self._byte() % 8, self._byte() << 8 * (self._byte() % 4)))

    def _window(self) -> bytes:
        increment = self._byte() << 8 * (self._byte() % 4)
        return frame(
            WINDOW_UPDATE, 0, self._known() if self._byte() % 2 else 0, number(increment & 2**31 - 1)
        )

    def _reset(self) -> bytes:
        return frame(RST_STREAM, 0, self._known(), number(self._byte()))

    def _ping(self) -> bytes:
        return frame(PING, self._byte() % 2, 0, b"draining" if self._byte() % 2 else bytes(8))

    def _split(self) -> bytes:
        """The rest goes on in a separate chunk, inside a frame."""
        last = self.chunks[-1]
        cut = min(len(last), self._byte())
        self.chunks[-1] = last[: len(last) - cut]
        self.chunks.append(last[len(last) - cut :])
        return b""

    def _raw(self) -> bytes:
        self.is_whole = False
        return self._bytes()


class Link(asyncio.Transport):
    """A transport whose client reads everything, or nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen()
        self.is_closed = False
        self.writes_after_end = 0
        self.has_ended = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes_after_end += self.has_ended
        self.seen.take(bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.has_ended = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def abort(self) -> None:
        self.is_closed = True


class Session:
    """One connection and its client."""

    def __init__(self, *, is_short: bool) -> None:
        self.reads = Reads()
        self.backlog = Backlog()
        self.link = Link()
        limiter = ConcurrencyLimiter(max_calls=100, max_streams=1)
        table = CallTable(self.reads, limiter, "elsewhere", OpenDoor())
        self.connection = Connection(table, Limits(), self.backlog, lambda _: None, is_short=is_short)
        self.connection.connection_made(self.link)

    async def feed(self, chunk: bytes) -> None:
        self.connection.data_received(chunk)
        for _ in range(4):
            await asyncio.sleep(0)
        streams: Any = self.connection._streams
        assert len(streams._open) <= MAX_STREAMS
        assert 0 <= self.backlog.size <= MAX_QUEUED + _LARGEST
        assert 0 <= streams._unread <= MAX_BODIES + _LARGEST
        assert self.link.writes_after_end == 0
        assert max((len(payload) for *_, payload in self.link.seen.frames), default=0) <= 16384

    async def leave(self) -> None:
        self.connection.connection_lost(None)
        for _ in range(4):
            await asyncio.sleep(0)
        assert (self.backlog.size, self.reads.waiting) == (0, 0)
        assert self.connection._streams.is_empty
        assert self.connection._streams._unread == 0


async def drive(data: bytes) -> None:
    failures: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    program = Program(data).run()
    sessions = [Session(is_short=is_short) for is_short in (True, False)]
    for session in sessions:
        for chunk in program.chunks:
            await session.feed(chunk)
    short, whole = (session.link for session in sessions)
    assert (short.seen.goaway is None) == (whole.seen.goaway is None)
    # The short path answers what precedes a fault or the reply to a drain in the same chunk, the library
    # takes a whole chunk before it answers.
    assert short.seen.goaway is not None or _said(short.seen) == _said(whole.seen)
    for session in sessions:
        if program.is_whole and not session.link.has_ended:
            await _good_call_is_answered(session, program.stream)
        await session.leave()
    assert failures == []


def _said(seen: Seen) -> dict[int, list[tuple[int, int, object]]]:
    """What a client of the connection knows in the end, by stream: the order among streams is free."""
    decoder = Decoder()
    said: dict[int, list[tuple[int, int, object]]] = {}
    for kind, flags, stream, payload in seen.frames:
        what: object = payload
        if kind == HEADERS:
            pairs = [(name, value) for name, value in decoder.decode(payload, raw=True)]
            what = [name if name == b"x-request-id" else (name, value) for name, value in pairs]
        before = said.setdefault(stream, [])
        is_again = kind == RST_STREAM and before and before[-1][0] == RST_STREAM  # for late frames
        if kind != WINDOW_UPDATE and not is_again:
            before.append((kind, flags, what))
    return said


async def _good_call_is_answered(session: Session, stream: int) -> None:
    """A client that has done nothing to end its connection is served."""
    program = Program(b"")
    program.stream = stream
    opened = settings((4, 65535)) + frame(PING, payload=b"are you?")
    if session.connection._streams.are_refused or len(session.connection._streams._open) >= MAX_STREAMS:
        return
    await session.feed(opened)
    if session.link.has_ended:  # the settings or the ping were too many, or the window too large
        return
    await session.feed(program._call())
    ended = session.link.has_ended or not session.connection._outbox.has_room
    assert ended or any(session.link.seen.of(HEADERS, stream)), "a good call is not answered"


_loop: asyncio.AbstractEventLoop | None = None


def connection(data: bytes) -> None:
    """Any client: nothing raises, everything is bounded, and a good call is answered afterwards."""
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
    _loop.run_until_complete(drive(data))
