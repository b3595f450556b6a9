"""The short path: answers calls from their bytes if nothing about them is unusual.

A call is taken if its header block is known, its request is one DATA frame with one whole uncompressed
message, L1 answers it, and nothing on the connection waits. Then nothing distinguishes the answer from the
library's, whose windows and stream ids are kept up to date. Also taken is what clients send with each call:
WINDOW_UPDATE of the stream before the DATA frame, WINDOW_UPDATE of the connection and PING. Everything else
is left to the library.
"""

from collections import deque
from struct import Struct

from gostream_api.read_door.backlog import Backlog
from gostream_api.read_door.http2.calls import Call, Template, request_id_of
from gostream_api.read_door.http2.frames import FrameWatch
from gostream_api.read_door.http2.library import Http2
from gostream_api.read_door.http2.short import reply_bytes
from gostream_api.read_door.http2.short.header_blocks import HeaderBlocks
from gostream_api.read_door.http2.streams import Streams
from gostream_api.read_door.limits import MAX_CLOSED_STREAMS, MAX_FRAME

_HEAD = 9
_PREFIX = 5  # of a gRPC message: the flag of compression and the length
_INCREMENT, _ECHO = 4, 8  # lengths of the payloads of WINDOW_UPDATE and PING
_DATA, _HEADERS, _PING, _WINDOW_UPDATE = 0, 1, 6, 8
_END_STREAM, _END_HEADERS = 0x1, 0x4
_STREAMS, _MAX_WINDOW = 2**31, 2**31 - 1
#: A frame's length in two parts, type, flags and stream.
_frame = Struct(">HBBBL").unpack_from
#: The same, then the prefix of a message.
_message_frame = Struct(">HBBBLBL").unpack_from
#: The shortest frame that is taken, a WINDOW_UPDATE.
_SHORTEST = _HEAD + _INCREMENT


class ShortPath:
    """Answers the usual calls of one connection."""

    def __init__(self, h2: Http2, streams: Streams, watch: FrameWatch, backlog: Backlog) -> None:
        self._h2 = h2
        self._streams = streams
        self._outbox = streams.outbox
        self._watch = watch
        self._backlog = backlog
        self._blocks = HeaderBlocks(h2.received_table)
        self._closed: deque[int] = deque(maxlen=MAX_CLOSED_STREAMS)
        self._unknown = b""  # the header block that the library decodes next
        self._generation = 0
        #: Set to stop taking calls.
        self.is_off = False

    def answer(self, data: bytes, at: int, out: list[bytes], now: float) -> int:
        """Answer calls from position `at`. Returns the position of the first byte that is not taken.

        Appends replies to `out`. Raises ExcessError.
        """
        if not self._is_free():
            return at
        end = len(data)
        while end - at >= _SHORTEST:
            high, low, kind, flags, stream = _frame(data, at)
            if kind == _HEADERS:
                body = at + _HEAD + (high << 8 | low)
                if flags != _END_HEADERS or not self._is_next(stream) or end - body < _HEAD + _PREFIX:
                    break
                if self._outbox.is_turn_over:
                    break
                stop = self._answer(data, at, body, out, now)
            elif flags or stream or high:
                break
            elif kind == _WINDOW_UPDATE and low == _INCREMENT:
                stop = self._widen(data, at, now)
            elif kind == _PING and low == _ECHO and end - at >= _HEAD + _ECHO:
                stop = at + _HEAD + _ECHO
                self._watch.count(_PING, now)
                out.append(reply_bytes.pong(data[at + _HEAD : stop]))
            else:
                break
            if stop == at:
                break
            at = stop
        return at

    def _is_next(self, stream: int) -> bool:
        """Returns True if a client may open this stream."""
        return self._h2.highest_inbound_stream_id < stream < _STREAMS and stream & 1 == 1

    def _answer(self, data: bytes, at: int, body: int, out: list[bytes], now: float) -> int:
        """Answer the call whose headers begin at `at`. Returns its end, or `at` if the call is not taken."""
        block = data[at + _HEAD : body]
        blocks = self._blocks
        template = blocks.last if block == blocks.last_block else blocks.find(block)
        if template is None:
            return at
        number = data[at + 5 : at + _HEAD]
        start, stop, room = self._request(data, body, number)
        if not stop:
            return at
        h2 = self._h2
        try:
            payload = template.method.find(template, data[start + _HEAD + _PREFIX : stop])
        except Exception as error:  # noqa: BLE001 - the last handler of unexpected errors
            reply = template.method.fail(_call(template), error)
            out.append(reply_bytes.headers_only(number, reply.end))
        else:
            if payload is None:
                return at
            length = len(payload) + _PREFIX
            if length > room or length > h2.outbound_flow_control_window:
                self._streams.known[int.from_bytes(number, "big")] = payload
                return at
            h2.outbound_flow_control_window -= length
            self._outbox.turn += length
            out.append(reply_bytes.found(number, payload, request_id_of(template)))
        for _ in range(body, start, _HEAD + _INCREMENT):
            self._watch.count(_WINDOW_UPDATE, now)
        size = stop - start - _HEAD
        h2.inbound.window_consumed(size)
        if grant := h2.inbound.process_bytes(size):
            out.append(reply_bytes.grant(grant))
        stream = int.from_bytes(number, "big")
        self._closed.append(stream)
        h2.highest_inbound_stream_id = self._streams.accepted = stream
        return stop

    def _request(self, data: bytes, at: int, number: bytes) -> tuple[int, int, int]:
        """Returns the bounds of the DATA frame at `at` that has a whole request, and the stream's window.

        WINDOW_UPDATE frames of the stream may come first. The end is 0 unless all frames are usual.
        """
        room = self._h2.remote_settings.initial_window_size
        while len(data) - at >= _HEAD + _PREFIX and data[at + 5 : at + _HEAD] == number:
            high, low, kind, flags, _, is_compressed, length = _message_frame(data, at)
            size = high << 8 | low
            if kind == _WINDOW_UPDATE and size == _INCREMENT:
                room += (increment := _increment(data, at))
                if not increment or room > _MAX_WINDOW:
                    break
                at += _HEAD + _INCREMENT
                continue
            stop = at + _HEAD + size
            is_usual = (
                kind == _DATA
                and flags == _END_STREAM
                and not is_compressed
                and length == size - _PREFIX
                and stop <= len(data)
                and size <= MAX_FRAME
                and size <= self._h2.inbound.current_window_size
            )
            return at, stop if is_usual else 0, room
        return at, 0, room

    def _widen(self, data: bytes, at: int, now: float) -> int:
        """Open the connection's window. Returns the end of the frame, or `at` for a wrong increment."""
        increment = _increment(data, at)
        if not increment or self._h2.outbound_flow_control_window + increment > _MAX_WINDOW:
            return at
        self._watch.count(_WINDOW_UPDATE, now)
        self._h2.outbound_flow_control_window += increment
        return at + _HEAD + _INCREMENT

    def leave(self, data: bytes, at: int) -> int:
        """Returns the end of the part, from position `at`, that the library must take before `learn`.

        It is the rest of a frame that has started, or a frame and those up to the next HEADERS frame. If no
        call is taken any more, it is everything.
        """
        self._h2.note_closed(self._closed)
        self._closed.clear()
        self._unknown = b""
        end = len(data)
        if self.is_off:
            return end
        if self._watch.missing:
            return min(end, at + self._watch.missing)
        self._generation = self._h2.received_table.generation
        self._streams.opened = None
        begin = at
        while end - at >= _HEAD:
            high, low, kind, flags, _ = _frame(data, at)
            if kind == _HEADERS and at > begin:
                return at
            next_frame = at + _HEAD + (high << 8 | low)
            if at == begin and kind == _HEADERS and flags == _END_HEADERS and next_frame <= end:
                self._unknown = data[at + _HEAD : next_frame]
            at = next_frame
        return end

    def learn(self) -> None:
        """Note what the library has taken."""
        self._streams.known.clear()
        self._blocks.check()
        if self._unknown and self._streams.opened is not None:
            self._blocks.learn(self._unknown, self._streams.opened, self._generation)

    def _is_free(self) -> bool:
        h2 = self._h2
        return (
            not self.is_off
            and self._watch.is_between
            and self._streams.is_idle
            and not h2.is_full
            and not h2.owes_table_size
            and not self._backlog.is_full
        )


def _increment(data: bytes, at: int) -> int:
    """Returns the increment of the WINDOW_UPDATE at this position. Its first bit has no meaning."""
    begin = at + _HEAD
    return int.from_bytes(data[begin : begin + _INCREMENT], "big") & _MAX_WINDOW


def _call(template: Template) -> Call:
    return Call(template, None, None, request_id_of(template))
