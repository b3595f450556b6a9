"""Tokens of positions in the event log, opaque to clients.

A resume token belongs to no filter: a position has the same meaning for every reader. A page token is bound
to the filter of its listing. Neither grants access, so their checksums need no secret; they detect tokens
that were altered or truncated.
"""

import base64
import binascii
import struct
from hashlib import blake2b

from gostream_shared.domain.companions.errors import ResumeTokenInvalidError
from gostream_shared.domain.companions.events import EventFilter, EventPosition
from gostream_shared.domain.errors import PageTokenInvalidError

_POSITION = struct.Struct(">QQ")
_CHECKSUM_BYTES = 8  # 16 + 8 bytes need no base64 padding, so a token has exactly one spelling


def resume_token(position: EventPosition) -> str:
    """Returns the token that resumes a stream after `position`."""
    return _token(position, b"")


def position_of(token: str) -> EventPosition:
    """Returns the position of a resume token. Raises ResumeTokenInvalidError."""
    position = _position(token, b"")
    if position is None:
        raise ResumeTokenInvalidError
    return position


def page_token(position: EventPosition, which: EventFilter) -> str:
    """Returns the token that continues a listing of `which` after `position`."""
    return _token(position, _bound(which))


def page_position_of(token: str, which: EventFilter) -> EventPosition:
    """Returns the position of a page token. Raises PageTokenInvalidError if it belongs to another filter."""
    position = _position(token, _bound(which))
    if position is None:
        raise PageTokenInvalidError
    return position


def number_token(number: int, bound: str) -> str:
    """Returns the token that continues another listing after a number. `bound` names the listing."""
    return _token(EventPosition(0, number), b"list" + bound.encode())


def number_of(token: str, bound: str) -> int:
    """Returns the number of a token. Raises PageTokenInvalidError if it belongs to another listing."""
    position = _position(token, b"list" + bound.encode())
    if position is None:
        raise PageTokenInvalidError
    return position.seq


def _token(position: EventPosition, bound: bytes) -> str:
    packed = _POSITION.pack(position.xid, position.seq)
    return base64.urlsafe_b64encode(packed + _checksum(packed, bound)).decode()


def _position(token: str, bound: bytes) -> EventPosition | None:
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        packed, checksum = raw[: _POSITION.size], raw[_POSITION.size :]
        xid, seq = _POSITION.unpack(packed)
    except (binascii.Error, ValueError, struct.error):
        return None
    if checksum != _checksum(packed, bound) or max(xid, seq) >= 1 << 63:
        return None
    return EventPosition(xid, seq)


def _bound(which: EventFilter) -> bytes:
    values = (which.user_id, sorted(which.types), which.video_id, which.since)
    return b"page" + repr(values).encode()


def _checksum(packed: bytes, bound: bytes) -> bytes:
    return blake2b(packed + bound, digest_size=_CHECKSUM_BYTES, person=b"gostream-event").digest()
