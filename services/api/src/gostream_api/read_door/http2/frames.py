"""Counts the frames of a connection before h2 parses them, and builds the frame that h2 cannot send.

h2 limits what one frame may contain, but not how many arrive, and it stores a frame of any length until the
frame is complete.
"""

import struct

from h2.errors import ErrorCodes

from gostream_api.read_door.limits import (
    MAX_CONTINUATIONS,
    MAX_FRAME,
    MAX_HEADER_BLOCK,
    Budget,
    Limits,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: The last stream of a GOAWAY that announces another one.
ANY_STREAM = 2**31 - 1

_HEAD = 9
_ACK = _END_STREAM = 0x1
_END_HEADERS = 0x4
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = (
    0,
    1,
    3,
    4,
    6,
    7,
    8,
    9,
)


class ExcessError(Exception):
    """The client breaks a rule or a limit of the connection, which ends with `code`."""

    def __init__(self, reason: str, code: ErrorCodes = ErrorCodes.ENHANCE_YOUR_CALM) -> None:
        super().__init__(reason)
        self.code = code


class FrameWatch:
    """Reads the frame headers of one connection and skips the rest."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._skip = len(PREFACE)
        self.is_greeted = False  # the client has sent its preface and a frame
        self._head = b""
        self._is_in_block = False
        self._block = self._continuations = 0
        self._empty = Budget(limits.empty_data, now)
        self._other = Budget(limits.other_frames, now)
        self._faults = 0
        self._made_resets = Budget(limits.resets, now)
        self._budgets = {
            _RST_STREAM: Budget(limits.resets, now),
            _SETTINGS: Budget(limits.settings, now),
            _PING: Budget(limits.pings, now),
            _WINDOW_UPDATE: Budget(limits.window_updates, now),
        }

    @property
    def is_between(self) -> bool:
        """True if a frame comes next that may be of any type."""
        return self.is_greeted and not (self._skip or self._head or self._is_in_block)

    @property
    def missing(self) -> int:
        """Bytes until the end of the frame's header or of the frame that has started."""
        return _HEAD - len(self._head) if self._head else self._skip

    def count(self, kind: int, now: float) -> None:
        """Count a frame of a type that is limited, which `look` does not see. Raises ExcessError."""
        if not self._budgets.get(kind, self._other).spend(now):
            raise ExcessError(f"frames of type {kind}")

    def look(self, data: bytes, now: float) -> None:
        """Count the frames that begin in `data`. Raises ExcessError."""
        at, end = self._skip, len(data)
        while at < end:
            part = data[at : at + _HEAD - len(self._head)]
            at += len(part)
            head = self._head + part
            if len(head) < _HEAD:
                self._head = head
                break
            self._head = b""
            length = int.from_bytes(head[:3], "big")
            self._check(head[3], head[4], length)
            self.is_greeted = True
            self._count(head[3], head[4], length, now)
            at += length
        self._skip = at - end

    def note_faults(self, faults: int, now: float) -> None:
        """Count the streams that the client has made the server reset. Raises ExcessError."""
        while self._faults < faults:
            self._faults += 1
            if not self._made_resets.spend(now):
                raise ExcessError("faults that reset streams")

    def _check(self, kind: int, flags: int, length: int) -> None:
        """Enforce the rules of HTTP/2 that h2 does not."""
        if length > MAX_FRAME or (kind == _SETTINGS and flags & _ACK and length):
            raise ExcessError("frame size", ErrorCodes.FRAME_SIZE_ERROR)
        if not self.is_greeted and (kind != _SETTINGS or flags & _ACK):
            raise ExcessError("no SETTINGS after the preface", ErrorCodes.PROTOCOL_ERROR)
        # RFC 9113, section 6.10. The error of h2 depends on whether it still remembers the stream.
        if kind == _CONTINUATION and not self._is_in_block:
            raise ExcessError("CONTINUATION without HEADERS", ErrorCodes.PROTOCOL_ERROR)

    def _count(self, kind: int, flags: int, length: int, now: float) -> None:
        if kind == _HEADERS:
            self._is_in_block = not flags & _END_HEADERS
            self._block, self._continuations = length, 0
        elif kind == _CONTINUATION:
            self._is_in_block = not flags & _END_HEADERS
            self._block += length
            self._continuations += 1
            if self._block > MAX_HEADER_BLOCK or self._continuations > MAX_CONTINUATIONS:
                raise ExcessError("header block")
        elif kind == _DATA:
            if length == 0 and not flags & _END_STREAM and not self._empty.spend(now):
                raise ExcessError("empty DATA frames")
        else:
            self.count(kind, now)


def goaway(last_stream: int) -> bytes:
    """Returns a GOAWAY frame without an error. After h2's own one, h2 would send no reply."""
    payload = struct.pack(">LL", last_stream, ErrorCodes.NO_ERROR)
    return len(payload).to_bytes(3, "big") + struct.pack(">BBL", _GOAWAY, 0, 0) + payload
