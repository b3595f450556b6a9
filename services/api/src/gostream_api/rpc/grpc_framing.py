"""gRPC framing of unary calls: parses request headers and bodies, and builds error responses.

Statuses and messages equal those of gRPC's server, so that clients cannot distinguish the doors; tests
compare them. One case differs: if a body ends before its message, gRPC waits for the deadline and this module
refuses.
"""

import binascii
import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from urllib.parse import quote_from_bytes

import grpc

#: Largest message of a request, in bytes.
MAX_MESSAGE = 1024 * 1024
PREFIX = 5  # one byte of flags, four of length
#: A deadline shorter than one tick of gRPC's clock has expired on arrival.
_TICK = 0.001

_TIMEOUT = re.compile(rb" *([0-9]+) *([HMSmun])")
_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_WBITS = {b"deflate": zlib.MAX_WBITS, b"gzip": zlib.MAX_WBITS | 16}
_ENCODINGS = {b"identity", *_WBITS}
#: Characters that grpc-message carries unescaped.
_PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")

Header = tuple[bytes, bytes]


class RefusedError(Exception):
    """The transport refused the call before a handler, so it has no details and no request id."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def _unparsable(name: str, why: str = "") -> RefusedError:
    return RefusedError(grpc.StatusCode.INTERNAL, f"Error parsing '{name}' metadata{why}")


def expired() -> RefusedError:
    return RefusedError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")


def incomplete() -> RefusedError:
    return RefusedError(grpc.StatusCode.INTERNAL, "the request has no complete message")


def check_headers(headers: Mapping[bytes, bytes]) -> None:
    """Raise RefusedError for headers that gRPC rejects."""
    if headers.get(b"te") != b"trailers":  # without it, no trailers can be sent
        raise _unparsable("te")
    if headers.get(b"grpc-encoding", b"identity") not in _ENCODINGS:
        raise _unparsable("grpc-encoding")
    if b"-bin" not in b"".join(headers):
        return
    for name, value in headers.items():
        if name.endswith(b"-bin") and not _is_base64(value):
            raise _unparsable(name.decode("latin-1"), ": illegal base64 encoding")


def timeout_of(headers: Mapping[bytes, bytes]) -> float | None:
    """Returns the timeout in seconds; None = no timeout. Raises RefusedError if it is invalid or expired."""
    given = headers.get(b"grpc-timeout")
    if given is None:
        return None
    match = _TIMEOUT.fullmatch(given)
    if match is None:
        raise _unparsable("grpc-timeout")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds <= _TICK:
        raise expired()
    return seconds


def missing(body: bytes | bytearray) -> int:
    """Returns the number of missing bytes, at most 0 for a complete message.

    Raises RefusedError for a length above the limit, before the body has arrived.
    """
    if len(body) < PREFIX:
        return PREFIX - len(body)
    length = int.from_bytes(body[1:PREFIX], "big")
    _check_length(length)
    return PREFIX + length - len(body)


def message_of(body: bytes | bytearray, encoding: bytes | None) -> bytes:
    """Returns the first message of a complete body. Ignores further bytes, as gRPC does."""
    flags, end = body[0], PREFIX + int.from_bytes(body[1:PREFIX], "big")
    message = bytes(body[PREFIX:end])
    if flags == 0:
        return message
    if flags != 1:
        raise RefusedError(grpc.StatusCode.INTERNAL, f"Bad GRPC frame type 0x{flags:02x}")
    if encoding is None or encoding == b"identity":
        raise RefusedError(grpc.StatusCode.INTERNAL, "Compression bit set but no encoding configured")
    return _decompressed(message, _WBITS[encoding])


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def status_headers(code: grpc.StatusCode, message: str) -> list[Header]:
    """Returns the status of a call as headers or trailers."""
    text = quote_from_bytes(message.encode(), safe=_PLAIN).encode()
    return [(b"grpc-status", b"%d" % code.value[0]), (b"grpc-message", text)]


def metadata_header(name: str, value: str | bytes) -> Header:
    """Encode one pair of trailing metadata; bytes become base64 without padding."""
    if isinstance(value, bytes):
        return name.encode(), b64encode(value).rstrip(b"=")
    return name.encode(), value.encode()


def _decompressed(message: bytes, wbits: int) -> bytes:
    """Decompress a message, at most MAX_MESSAGE bytes."""
    if not message:
        return message
    inflate = zlib.decompressobj(wbits)
    try:
        plain = inflate.decompress(message, MAX_MESSAGE + 1)
    except zlib.error:
        raise _undecompressable("zlib error") from None
    if len(plain) > MAX_MESSAGE:
        raise RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "Decompressed message larger than max")
    if not inflate.eof:
        raise _undecompressable("data error")
    if inflate.unused_data:
        raise _undecompressable("not all input consumed")
    return plain


def _undecompressable(why: str) -> RefusedError:
    return RefusedError(grpc.StatusCode.INTERNAL, f"Decompression failed due to {why}")


def _check_length(length: int) -> None:
    if length > MAX_MESSAGE:
        raise RefusedError(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"SERVER: Received message larger than max ({length} vs. {MAX_MESSAGE})",
        )


def _is_base64(value: bytes) -> bool:
    """Returns True for valid base64 with or without padding; commas separate several values."""
    try:
        for part in value.split(b","):
            b64decode(part.rstrip(b"=") + b"=" * (-len(part.rstrip(b"=")) % 4), validate=True)
    except binascii.Error:
        return False
    return True
