"""One connection of the read door: its transport, its limits and its end. h2 implements HTTP/2."""

import asyncio
import random
from collections.abc import Callable
from typing import cast

import structlog
from h2 import events
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

from gostream_api.auth.mtls import spiffe_id_in
from gostream_api.read_door.backlog import Backlog
from gostream_api.read_door.http2.calls import CallTable
from gostream_api.read_door.http2.frames import ANY_STREAM, ExcessError, FrameWatch, goaway
from gostream_api.read_door.http2.library import Http2
from gostream_api.read_door.http2.short.path import ShortPath
from gostream_api.read_door.http2.streams import Streams
from gostream_api.read_door.limits import Limits

#: Bytes that wait in the transport before nothing more is read or sent.
_HIGH_WATER = 256 * 1024
#: Characters of a reason in the log; h2's may contain what the client sent.
_MAX_REASON = 200
_DRAIN, _KEEPALIVE = b"draining", b"are you?"

_log = structlog.stdlib.get_logger("gostream.read_door")


class Connection(asyncio.Protocol):
    """Serves one client, with the short path if `is_short`. `gone` is called when the transport is closed."""

    def __init__(
        self,
        table: CallTable,
        limits: Limits,
        backlog: Backlog,
        gone: Callable[["Connection"], None],
        *,
        is_short: bool,
    ) -> None:
        self._limits = limits
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._h2 = Http2()
        self._streams = Streams(self._h2, table, backlog, self._settle)
        self._outbox = self._streams.outbox
        now = self._loop.time()
        self._watch = FrameWatch(limits, now)
        self._short: ShortPath | None = None
        if is_short:
            self._short = ShortPath(self._h2, self._streams, self._watch, backlog)
        self._waiting: list[bytes] = []  # to be written
        self._is_reading = False
        self._began = self._heard = self._busy = self._moved = now
        self._moves = self._seen = 0  # as of the last check
        self._age = limits.age * random.uniform(0.9, 1.1)  # noqa: S311
        self._pinged: float | None = None
        self._draining: float | None = None
        self._ended: float | None = None
        self._is_next_turn_due = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._streams.certificate = spiffe_id_in(transport.get_extra_info("peercert"))
        self._h2.initiate_connection()
        self._write()

    def data_received(self, data: bytes) -> None:
        if self._ended is not None:
            return
        self._heard = now = self._loop.time()
        self._pinged = None
        self._is_reading = True
        try:
            if self._short is None:
                self._take(data, now)
            else:
                self._take_shortly(self._short, data, now)
        finally:
            self._is_reading = False
            self._flush()

    def _take_shortly(self, short: ShortPath, data: bytes, now: float) -> None:
        """Let the short path take what it can, and the library the rest."""
        at, end = 0, len(data)
        while at < end and self._ended is None:
            try:
                at = short.answer(data, at, self._waiting, now)
            except ExcessError as excess:
                self._fail(excess.code, str(excess))
                return
            if at < end:
                stop = short.leave(data, at)
                self._take(data[at:stop], now)
                short.learn()
                at = stop

    def _take(self, data: bytes, now: float) -> None:
        try:
            self._watch.look(data, now)
            received = self._h2.receive_data(data)
        except ExcessError as excess:
            self._fail(excess.code, str(excess))
            return
        except ProtocolError as error:  # h2 has queued a GOAWAY
            self._end(str(error))
            return
        if any(isinstance(event, events.ConnectionTerminated) for event in received):
            self.drain()
        self._streams.handle(received)
        try:
            self._watch.note_faults(self._streams.faults, now)
        except ExcessError as excess:
            self._fail(excess.code, str(excess))
            return
        self._streams.proceed()
        self._settle()
        if any(isinstance(event, events.PingAckReceived) and event.ping_data == _DRAIN for event in received):
            self._announce_last()

    def pause_writing(self) -> None:
        # Further requests wait in the socket until the client reads.
        self._outbox.is_open = False
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._outbox.is_open = True
        if self._ended is None:
            self._transport.resume_reading()
            self._go_on()

    def connection_lost(self, error: Exception | None) -> None:
        self._ended = self._loop.time()
        self._streams.leave_all()
        self._gone(self)

    def drain(self) -> None:
        """Ask the client to begin further calls on another connection, and close this one after the last.

        The first GOAWAY refuses nothing, because calls may be on their way; the second follows the reply to a
        ping and announces the last call.
        """
        if self._ended is None and self._draining is None:
            self._draining = self._loop.time()
            self._stop_short_path()
            self._h2.ping(_DRAIN)
            self._write(goaway(ANY_STREAM))

    def abort(self) -> None:
        self._transport.abort()

    def check(self, now: float) -> None:
        """Enforce the limits of time."""
        limits = self._limits
        self._note_use(now)
        if self._ended is not None:
            if now - self._ended > limits.linger:
                self._transport.abort()
        elif now - self._moved > limits.stall:
            self._fail(ErrorCodes.ENHANCE_YOUR_CALM, "queued replies are not read")
        elif now - self._began > self._age + limits.age_grace:
            self._fail(ErrorCodes.NO_ERROR, "age")
        elif not self._watch.is_greeted and now - self._began > limits.handshake:
            self._fail(ErrorCodes.PROTOCOL_ERROR, "no preface")
        elif self._pinged is not None and now - self._pinged > limits.keepalive_reply:
            self._end("no reply to a ping")
        elif self._draining is not None:
            if now - self._draining > limits.goaway:
                self._announce_last()
        elif now - self._began > self._age or now - self._busy > limits.idle:
            self.drain()
        elif self._pinged is None and now - self._heard > limits.keepalive:
            self._pinged = now
            self._h2.ping(_KEEPALIVE)
            self._write()

    def _note_use(self, now: float) -> None:
        """Note whether there were calls since the last check, and whether queued bytes make progress."""
        if self._seen != self._streams.accepted or not self._streams.is_empty:
            self._seen, self._busy = self._streams.accepted, now
        is_waiting = not (self._outbox.is_empty and self._outbox.is_open)
        if self._moves != self._outbox.moves or not is_waiting:
            self._moves, self._moved = self._outbox.moves, now

    def _announce_last(self) -> None:
        if not self._streams.are_refused:
            self._streams.are_refused = True
            self._write(goaway(self._streams.accepted))
            self._settle()

    def _fail(self, code: ErrorCodes, reason: str) -> None:
        self._h2.close_connection(code, reason.encode(), self._streams.accepted)
        self._end(reason)

    def _end(self, reason: str = "") -> None:
        """Send the rest and the end; the client closes, or `check` does.

        To close at once would reset the connection if data are unread, and the client would lose the rest.
        """
        if self._ended is not None:
            return
        self._ended = self._loop.time()
        if reason:
            peer = self._transport.get_extra_info("peername")
            _log.info("connection ended", reason=reason[:_MAX_REASON], peer=str(peer and peer[0]))
        self._stop_short_path()
        self._streams.leave_all()
        self._write()
        self._flush()
        if not self._transport.is_closing():
            if self._transport.can_write_eof():
                self._transport.write_eof()
                self._transport.resume_reading()
            else:  # TLS has no end of one side
                self._transport.close()

    def _settle(self) -> None:
        """Write what h2 has to send; end after the last call."""
        self._write()
        if self._outbox.is_turn_over and not self._is_next_turn_due:
            self._is_next_turn_due = True
            self._loop.call_soon(self._go_on)
        if self._streams.are_refused and self._streams.is_empty:
            self._end()

    def _go_on(self) -> None:
        self._is_next_turn_due = False
        self._outbox.begin_turn()
        if self._ended is None:
            self._streams.proceed()
            self._settle()

    def _stop_short_path(self) -> None:
        if self._short is not None:
            self._short.is_off = True

    def _write(self, first: bytes = b"") -> None:
        """Write `first` and what h2 has to send; while data are read, at the end of all of them."""
        if data := first + self._h2.data_to_send():
            self._waiting.append(data)
        if not self._is_reading:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting.clear()
            if not self._transport.is_closing():
                self._transport.write(data)
