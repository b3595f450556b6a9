"""Page tokens: the end of a page, opaque to clients and bound to the filter of the listing.

A token grants no access beyond a listing without it, so its checksum needs no secret. The checksum detects
tokens that were altered, truncated, or sent with another filter.
"""

import base64
import binascii
import struct
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from uuid import UUID

from gostream_shared.domain.errors import PageTokenInvalidError
from gostream_shared.domain.videos.listing import Position, VideoFilter

_POSITION = struct.Struct(">q16s")  # microseconds since the epoch, id
_CHECKSUM_BYTES = 12  # 24 + 12 bytes need no base64 padding, so a token has exactly one spelling
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def page_token(position: Position, which: VideoFilter) -> str:
    """Returns the token that resumes a listing of `which` after `position`."""
    packed = _POSITION.pack((position.created_at - _EPOCH) // _MICROSECOND, position.id.bytes)
    return base64.urlsafe_b64encode(packed + _checksum(packed, which)).decode()


def position_of(token: str, which: VideoFilter) -> Position:
    """Returns the position of `token`. Raises PageTokenInvalidError if it was not issued for this filter."""
    try:
        if "=" in token:  # the decoder ignores padding that is not needed
            raise PageTokenInvalidError
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        packed, checksum = raw[: _POSITION.size], raw[_POSITION.size :]
        if checksum != _checksum(packed, which):
            raise PageTokenInvalidError
        microseconds, id_bytes = _POSITION.unpack(packed)
        return Position(_EPOCH + microseconds * _MICROSECOND, UUID(bytes=id_bytes))
    except (binascii.Error, ValueError, struct.error, OverflowError):
        raise PageTokenInvalidError from None


def _checksum(packed: bytes, which: VideoFilter) -> bytes:
    """Returns a checksum over the position and every field of the filter; None differs from any text."""
    bound: tuple[object, ...] = (which.user_id, which.status and which.status.value)
    others = replace(which, user_id=None, status=None, media_kind=None)
    # Releases before know fewer fields, and their tokens stay valid.
    if others != VideoFilter():
        known = (field.name for field in fields(others) if field.name != "media_kind")
        bound += (tuple(getattr(others, name) for name in known),)
    if which.media_kind is not None:
        bound += (which.media_kind.value,)
    return blake2b(
        packed + repr(bound).encode(), digest_size=_CHECKSUM_BYTES, person=b"gostream-page"
    ).digest()
