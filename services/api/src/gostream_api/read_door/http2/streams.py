"""The open streams of one connection: h2's events become calls, and calls become replies."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from h2 import events
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import StreamClosedError

from gostream_api.read_door.backlog import Backlog
from gostream_api.read_door.http2.calls import Call, CallTable, MalformedError, Opened, Reply, refusal
from gostream_api.read_door.http2.sending import Outbox
from gostream_api.read_door.limits import MAX_BODIES, MAX_DATA_FRAMES
from gostream_api.rpc import grpc_framing
from gostream_api.rpc.grpc_framing import RefusedError


@dataclass(slots=True, eq=False)
class _Stream:
    """An open stream; `call` is None if the headers are refused."""

    call: Call | None = None
    frames: int = 0
    is_settled: bool = False  # the message is complete, or the reply is known
    is_ended: bool = False  # by the client
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None


class Streams:
    """Answers the calls of one connection.

    Replies are handed to h2; `wake` is called after a reply that no received data has caused.
    """

    def __init__(
        self, h2: H2Connection, table: CallTable, backlog: Backlog, wake: Callable[[], None]
    ) -> None:
        self._h2 = h2
        self._table = table
        self._backlog = backlog
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self.outbox = Outbox(h2, backlog)
        self.certificate: bytes | None = None  # the SPIFFE id of the client
        self.accepted = 0  # the highest stream that is served
        self.faults = 0  # of the client, each of which has reset a stream
        self.are_refused = False  # new streams, after the last GOAWAY
        self.opened: Opened | None = None  # the last call, for who asks what its headers mean
        self.known: dict[int, bytes] = {}  # responses of calls that are opened next
        self._open: dict[int, _Stream] = {}
        self._ready: deque[int] = deque()  # complete calls
        self._refused: list[tuple[int, Reply]] = []
        self._unread = 0  # bytes of incomplete messages
        self._on: dict[type[events.Event], Callable[[Any], None]] = {
            events.RequestReceived: self._on_request,
            events.DataReceived: self._on_data,
            events.StreamEnded: self._on_end,
            events.StreamReset: self._on_reset,
        }

    @property
    def is_empty(self) -> bool:
        return not self._open

    @property
    def is_idle(self) -> bool:
        """True if a complete call would be answered at once."""
        return not (self._ready or self._refused or self.are_refused) and self.outbox.is_idle

    def handle(self, received: Iterable[events.Event]) -> None:
        """Note what the client sent. Nothing is answered yet, since a later event may reset a stream."""
        for event in received:
            if on_event := self._on.get(type(event)):
                on_event(event)

    def proceed(self) -> None:
        """Answer what can be answered now."""
        for number, reply in self._refused:
            self._send(number, reply)
        self._refused.clear()
        for number in self.outbox.flush():
            self._finish(number)
        while self._ready and self.outbox.has_room:
            self._begin(self._ready.popleft())

    def leave_all(self) -> None:
        """Cancel all calls, for a connection that has ended."""
        for number in list(self._open):
            self._abandon(number)
        self._ready.clear()
        self._refused.clear()

    # -- events

    def _on_request(self, event: events.RequestReceived) -> None:
        number = event.stream_id
        if self.are_refused:  # the client may try it elsewhere
            self._reset(number, ErrorCodes.REFUSED_STREAM)
            return
        self.accepted = number
        stream = _Stream()
        try:
            call = stream.call = self._table.open(event.headers, self.certificate)
            self.opened = Opened(call, event.headers)
        except MalformedError:
            self.faults += 1
            self._reset(number, ErrorCodes.PROTOCOL_ERROR)
            return
        except RefusedError as refused:
            self._open[number] = stream
            self._settle(number, stream, refusal(refused))
            return
        self._open[number] = stream
        if call.timeout is not None:
            stream.timer = self._loop.call_later(call.timeout, self._expire, number)

    def _on_data(self, event: events.DataReceived) -> None:
        number = event.stream_id
        if event.flow_controlled_length:
            with suppress(StreamClosedError):
                self._h2.acknowledge_received_data(event.flow_controlled_length, number)
        stream = self._open.get(number)
        if stream is None or stream.call is None or stream.is_settled:
            return
        stream.frames += 1
        stream.call.body += event.data
        self._unread += len(event.data)
        try:
            is_complete = grpc_framing.missing(stream.call.body) <= 0
        except RefusedError as refused:
            self._settle(number, stream, refusal(refused))
            return
        if is_complete:
            self._settle(number, stream, None)
            self._ready.append(number)
        elif stream.frames >= MAX_DATA_FRAMES or self._unread > MAX_BODIES:
            self._settle(number, stream, stream.call.refuse_busy())

    def _on_end(self, event: events.StreamEnded) -> None:
        stream = self._open.get(event.stream_id)
        if stream is None:
            return
        stream.is_ended = True
        if not stream.is_settled:
            self._settle(event.stream_id, stream, refusal(grpc_framing.incomplete()))

    def _on_reset(self, event: events.StreamReset) -> None:
        self.faults += not event.remote_reset
        self._abandon(event.stream_id)

    def _settle(self, number: int, stream: _Stream, reply: Reply | None) -> None:
        """End the reading of a stream, with a reply if its request is refused."""
        stream.is_settled = True
        if stream.call is not None:
            self._unread -= len(stream.call.body)
        if reply is not None:
            self._refused.append((number, reply))

    # -- replies

    def _begin(self, number: int) -> None:
        stream = self._open.get(number)
        if stream is None or stream.call is None:  # it was reset or has expired
            return
        if self._backlog.is_full:
            self._send(number, stream.call.refuse_busy())
            return
        payload = self.known.pop(number, None)
        reply = stream.call.answer() if payload is None else stream.call.succeed(payload)
        if reply is None:
            stream.task = self._loop.create_task(self._load(number, stream.call))
        else:
            self._send(number, reply)

    async def _load(self, number: int, call: Call) -> None:
        reply = await call.load()
        self._send(number, reply)
        self._wake()

    def _expire(self, number: int) -> None:
        stream = self._open[number]
        is_partly_sent = number in self.outbox
        if stream.call is not None:
            stream.call.is_expired = True
        self._abandon(number)
        if is_partly_sent:
            self._reset(number, ErrorCodes.CANCEL)
        else:
            self._open[number] = _Stream(is_settled=True, is_ended=stream.is_ended)
            self._send(number, refusal(grpc_framing.expired()))
        self._wake()

    def _send(self, number: int, reply: Reply) -> None:
        if number not in self._open:
            return
        if self.outbox.send(number, reply):
            self._finish(number)

    def _finish(self, number: int) -> None:
        """Close a stream whose reply is sent."""
        stream = self._open.pop(number)
        if stream.timer is not None:
            stream.timer.cancel()
        if not stream.is_ended:  # the rest of the request is not needed
            self._reset(number, ErrorCodes.NO_ERROR)

    def _abandon(self, number: int) -> None:
        """Forget a stream that needs no reply, and cancel its wait."""
        stream = self._open.pop(number, None)
        if stream is None:
            return
        if stream.timer is not None:
            stream.timer.cancel()
        if stream.call is not None and not stream.is_settled:
            self._unread -= len(stream.call.body)
        is_answered = number in self.outbox
        self.outbox.drop(number)
        if stream.task is not None and not stream.task.done():
            stream.task.cancel()
        elif stream.call is not None and not is_answered:
            stream.call.leave()

    def _reset(self, number: int, code: ErrorCodes) -> None:
        with suppress(StreamClosedError):
            self._h2.reset_stream(number, code)
