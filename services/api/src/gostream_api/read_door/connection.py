"""One connection of the read door: its transport, its limits and its end. h2 implements HTTP/2."""

import asyncio
import random
from collections.abc import Callable
from typing import cast

import structlog
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame

from gostream_api.read_door import limits as most
from gostream_api.read_door.calls import CallTable
from gostream_api.read_door.frames import ANY_STREAM, ExcessError, FrameWatch, goaway
from gostream_api.read_door.header_blocks import BlockDecoder
from gostream_api.read_door.limits import Limits
from gostream_api.read_door.sending import Backlog
from gostream_api.read_door.streams import Streams

_CONFIG = H2Configuration(
    client_side=False,
    header_encoding=None,
    # Outgoing headers are our own. A malformed list of incoming ones must end the call and not the
    # connection, which a proxy may share among clients; h2 would end the connection.
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
    validate_inbound_headers=False,
)
_SETTINGS = {
    SettingCodes.MAX_CONCURRENT_STREAMS: most.MAX_STREAMS,
    SettingCodes.MAX_HEADER_LIST_SIZE: most.MAX_HEADER_LIST,
    SettingCodes.MAX_FRAME_SIZE: most.MAX_FRAME,
}
#: Bytes that wait in the transport before nothing more is read or sent.
_HIGH_WATER = 256 * 1024
#: Characters of a reason in the log; h2's may contain what the client sent.
_MAX_REASON = 200
_DRAIN, _KEEPALIVE = b"draining", b"are you?"

_log = structlog.stdlib.get_logger("gostream.read_door")


class _H2(H2Connection):
    MAX_CLOSED_STREAMS = most.MAX_CLOSED_STREAMS

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[events.Event]]:
        # A client's GOAWAY refuses streams of the server, so its calls are still answered; h2 would drop
        # queued frames and take no further one.
        event = events.ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]


class Connection(asyncio.Protocol):
    """Serves one client. `gone` is called when the transport is closed."""

    def __init__(
        self, table: CallTable, limits: Limits, backlog: Backlog, gone: Callable[["Connection"], None]
    ) -> None:
        self._limits = limits
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._h2 = _new_h2()
        self._streams = Streams(self._h2, table, backlog, self._settle)
        self._outbox = self._streams.outbox
        now = self._loop.time()
        self._watch = FrameWatch(limits, now)
        self._began = self._heard = self._busy = self._moved = now
        self._moves = self._seen = 0  # as of the last check
        self._age = limits.age * random.uniform(0.9, 1.1)  # noqa: S311
        self._pinged: float | None = None
        self._draining: float | None = None
        self._ended: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._h2.initiate_connection()
        self._write()

    def data_received(self, data: bytes) -> None:
        if self._ended is not None:
            return
        self._heard = now = self._loop.time()
        self._pinged = None
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
        self._streams.leave_all()
        self._write()
        if not self._transport.is_closing():
            self._transport.write_eof()
            self._transport.resume_reading()

    def _settle(self) -> None:
        """Write what h2 has to send; end after the last call."""
        self._write()
        if self._outbox.is_turn_over:
            self._outbox.begin_turn()
            self._loop.call_soon(self._go_on)
        if self._streams.are_refused and self._streams.is_empty:
            self._end()

    def _go_on(self) -> None:
        if self._ended is None:
            self._streams.proceed()
            self._settle()

    def _write(self, first: bytes = b"") -> None:
        data = first + self._h2.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)


def _new_h2() -> H2Connection:
    h2 = _H2(_CONFIG)
    h2.local_settings = Settings(client=False, initial_values=_SETTINGS)
    h2.max_inbound_frame_size = most.MAX_FRAME
    h2.decoder = BlockDecoder(most.MAX_HEADER_BLOCK)
    return h2
