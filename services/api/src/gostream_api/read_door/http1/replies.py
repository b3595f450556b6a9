"""The bytes of HTTP/1.1 replies."""

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

import grpc

from gostream_api.rpc.errors import CHALLENGE_NAME, Failure
from gostream_api.rpc.json.bodies import HTTP_STATUSES, failure_body, refusal_body

_CLIENT_CLOSED = 499  # nginx's number, which Envoy uses for CANCELLED
_REASONS = {
    **{status.value: b"%d %b" % (status.value, status.phrase.encode()) for status in HTTPStatus},
    _CLIENT_CLOSED: b"499 Client Closed Request",
}
_CLOSE = b"connection: close\r\n"


class Answer(NamedTuple):
    """A reply. `fields` are complete header lines besides those of every reply."""

    status: int
    body: bytes
    fields: bytes = b""


def refusal(code: grpc.StatusCode, message: str, *, status: int | None = None, fields: bytes = b"") -> Answer:
    """Returns an error without details; its status is that of the code unless given."""
    return Answer(status or HTTP_STATUSES[code], refusal_body(code, message), fields)


def failed(failure: Failure, fields: bytes) -> Answer:
    """Returns an error with its details, and the challenge of a caller without a good token."""
    for name, value in failure.trailers:
        if name == CHALLENGE_NAME and isinstance(value, str):
            fields += b"%b: %b\r\n" % (name.encode(), value.encode())
    return Answer(HTTP_STATUSES[failure.code], failure_body(failure), fields)


def encoded(answer: Answer, *, closes: bool, has_body: bool = True) -> bytes:
    """Returns a reply's bytes. A reply to HEAD has no body."""
    return (
        b"HTTP/1.1 %b\r\ndate: %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b%b\r\n%b"
        % (
            _REASONS[answer.status],
            _date(int(time.time())),
            len(answer.body),
            answer.fields,
            _CLOSE if closes else b"",
            answer.body if has_body else b"",
        )
    )


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
