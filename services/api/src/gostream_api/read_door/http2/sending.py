"""Sends replies within the flow control of one connection."""

from dataclasses import dataclass

from h2.connection import H2Connection

from gostream_api.read_door.backlog import Backlog
from gostream_api.read_door.http2.calls import HEADERS, Reply
from gostream_api.read_door.limits import MAX_FRAME, MAX_QUEUED, MAX_TURN
from gostream_api.rpc.grpc_framing import Header, framed


@dataclass(slots=True)
class _Rest:
    """The part of a reply that waits for flow control."""

    data: memoryview
    trailers: list[Header]


class Outbox:
    """The replies of one connection. A slow client's replies are queued; see `has_room`."""

    def __init__(self, h2: H2Connection, backlog: Backlog) -> None:
        self._h2 = h2
        self._backlog = backlog
        self._queued: dict[int, _Rest] = {}
        self._size = 0
        self.is_open = True  # False while the transport's buffer is full
        self.moves = 0  # grows with each part that is sent
        self.turn = 0  # bytes sent since `begin_turn`; the short path adds its own

    def __contains__(self, stream: int) -> bool:
        return stream in self._queued

    @property
    def is_empty(self) -> bool:
        return not self._queued

    @property
    def is_idle(self) -> bool:
        """True if no reply waits and none would."""
        return self.is_open and not self._queued

    @property
    def has_room(self) -> bool:
        return self._size < MAX_QUEUED and self.is_open and not self.is_turn_over

    @property
    def is_turn_over(self) -> bool:
        """Returns True if nothing more is sent before `begin_turn`.

        The transport cannot close the outbox while replies are built, so each turn has a bound.
        """
        return self.turn >= MAX_TURN

    def begin_turn(self) -> None:
        self.turn = 0

    def send(self, stream: int, reply: Reply) -> bool:
        """Send as much as possible and queue the rest. Returns True if all is sent."""
        if reply.message is None:
            self._h2.send_headers(stream, HEADERS + reply.end, end_stream=True)
            return True
        self._h2.send_headers(stream, HEADERS)
        rest = _Rest(memoryview(framed(reply.message)), reply.end)
        if self._push(stream, rest):
            return True
        self._queued[stream] = rest
        self._grow(len(rest.data))
        return False

    def flush(self) -> list[int]:
        """Send queued parts. Returns the streams whose reply is sent."""
        done = []
        for stream, rest in self._queued.items():
            before = len(rest.data)
            is_done = self._push(stream, rest)
            self._grow(len(rest.data) - before)
            if is_done:
                done.append(stream)
        for stream in done:
            del self._queued[stream]
        return done

    def drop(self, stream: int) -> None:
        rest = self._queued.pop(stream, None)
        if rest is not None:
            self._grow(-len(rest.data))

    def clear(self) -> None:
        for stream in list(self._queued):
            self.drop(stream)

    def _push(self, stream: int, rest: _Rest) -> bool:
        while rest.data:
            room = min(self._h2.local_flow_control_window(stream), MAX_FRAME)
            if room <= 0 or not self.is_open or self.is_turn_over:
                return False
            part = bytes(rest.data[:room])
            self._h2.send_data(stream, part)
            rest.data = rest.data[room:]
            self.moves += 1
            self.turn += len(part)
        self._h2.send_headers(stream, rest.trailers, end_stream=True)
        return True

    def _grow(self, change: int) -> None:
        self._size += change
        self._backlog.size += change
