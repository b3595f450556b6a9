"""The frames of a reply whose headers need no table, so that the library's encoder is not involved.

Each header is a literal without indexing, or refers to HPACK's static table. Decoded, replies equal the
library's.
"""

from collections.abc import Iterable

from hpack.hpack import encode_integer

from gostream_api.read_door.http2.calls import HEADERS
from gostream_api.read_door.limits import MAX_FRAME
from gostream_api.rpc.grpc_framing import PREFIX, Header, framed
from gostream_api.rpc.interceptors.telemetry import REQUEST_ID

_DATA, _HEADERS, _PING, _WINDOW_UPDATE, _CONTINUATION = 0, 1, 6, 8, 9
_ACK, _END_STREAM, _END_HEADERS = 0x1, 0x1, 0x4
_NEVER_INDEXED = 0x10


def grant(size: int) -> bytes:
    """Returns the frame that opens the connection's window for requests."""
    return _frame(_WINDOW_UPDATE, 0, bytes(4), size.to_bytes(4, "big"))


def pong(echo: bytes) -> bytes:
    """Returns the reply to a PING."""
    return _frame(_PING, _ACK, bytes(4), echo)


def headers_only(stream: bytes, end: Iterable[Header]) -> bytes:
    """Returns the reply without a message, as HEADERS and as many CONTINUATION frames as it needs."""
    block = _HEAD + _literals(end)
    parts = [block[at : at + MAX_FRAME] for at in range(0, len(block), MAX_FRAME)]
    flags = [0] * (len(parts) - 1) + [_END_HEADERS]
    frames = [_frame(_CONTINUATION, flag, stream, part) for flag, part in zip(flags, parts, strict=True)]
    frames[0] = _frame(_HEADERS, flags[0] | _END_STREAM, stream, parts[0])
    return b"".join(frames)


def found(stream: bytes, payload: bytes, request_id: bytes) -> bytes:
    """Returns the reply to a call that L1 has answered; `stream` is the number of the stream, encoded."""
    size = len(payload)
    if size > MAX_FRAME - PREFIX:
        whole = framed(payload)
        data = b"".join(
            _frame(_DATA, 0, stream, whole[at : at + MAX_FRAME]) for at in range(0, len(whole), MAX_FRAME)
        )
        return b"".join((_BEGIN, stream, _HEAD, data, *_trailers(stream, request_id)))
    return b"".join(
        (
            _BEGIN,
            stream,
            _HEAD,
            (size + PREFIX).to_bytes(3, "big"),
            b"\0\0",  # DATA without flags
            stream,
            b"\0",
            size.to_bytes(4, "big"),
            payload,
            *_trailers(stream, request_id),
        )
    )


def _trailers(stream: bytes, request_id: bytes) -> tuple[bytes, ...]:
    size = len(request_id)
    return _BEGIN_OF_END[size], stream, _STATUS, _LENGTHS[size], request_id, _LAYER


def _frame(kind: int, flags: int, stream: bytes, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream + payload


def _literals(headers: Iterable[Header]) -> bytes:
    return b"".join(_literal(name, value) for name, value in headers)


def _literal(name: bytes, value: bytes, first: int = 0) -> bytes:
    return bytes((first,)) + encode_integer(len(name), 7) + name + encode_integer(len(value), 7) + value


_STATUS_200 = b"\x88"  # in the static table
_HEAD = _STATUS_200 + _literals(HEADERS[1:])
#: The beginning of the frame of the headers, up to the stream.
_BEGIN = len(_HEAD).to_bytes(3, "big") + bytes((_HEADERS, _END_HEADERS))
_STATUS = _literals([(b"grpc-status", b"0"), (b"grpc-message", b"")]) + _literal(
    REQUEST_ID.encode(), b"", _NEVER_INDEXED
).removesuffix(b"\0")
_LAYER = _literal(b"x-cache", b"L1")
#: By the length of a request id: its encoding, and the beginning of the frame of the trailers.
_LENGTHS = [bytes((size,)) for size in range(127)]
_BEGIN_OF_END = [
    (len(_STATUS) + 1 + size + len(_LAYER)).to_bytes(3, "big") + bytes((_HEADERS, _END_STREAM | _END_HEADERS))
    for size in range(127)
]
