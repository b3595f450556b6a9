"""gRPC framing that the comparison of both doors does not cover: partial frames, limits, encodings."""

import gzip

import grpc
import pytest

from gostream_api.rpc import grpc_framing
from gostream_api.rpc.grpc_framing import MAX_MESSAGE, RefusedError


@pytest.mark.parametrize("end", range(len(grpc_framing.framed(b"message"))))
def test_incomplete_message_has_missing_bytes(end: int) -> None:
    assert grpc_framing.missing(grpc_framing.framed(b"message")[:end]) > 0


def test_complete_message_has_no_missing_bytes() -> None:
    assert grpc_framing.missing(grpc_framing.framed(b"message") + b"more") <= 0


def test_excessive_length_is_refused_before_the_body() -> None:
    with pytest.raises(RefusedError) as refused:
        grpc_framing.missing(b"\0" + (MAX_MESSAGE + 1).to_bytes(4, "big"))

    assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_compressed_bomb_is_inflated_only_to_the_limit() -> None:
    bomb = gzip.compress(bytes(100 * MAX_MESSAGE))

    with pytest.raises(RefusedError) as refused:
        grpc_framing.message_of(b"\1" + grpc_framing.framed(bomb)[1:], b"gzip")

    assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("message", "sent"),
    [("plain", b"plain"), ("100 %", b"100 %25"), ("é\n", b"%C3%A9%0A"), ("~ \x7f", b"~ %7F")],
)
def test_error_messages_are_percent_encoded(message: str, sent: bytes) -> None:
    status = grpc_framing.status_headers(grpc.StatusCode.NOT_FOUND, message)

    assert status == [(b"grpc-status", b"5"), (b"grpc-message", sent)]


def test_binary_metadata_is_base64_without_padding() -> None:
    assert grpc_framing.metadata_header("x-bin", b"\xff") == (b"x-bin", b"/w")
