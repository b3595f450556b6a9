"""Requests of one HTTP/1.1 connection, parsed by httptools (llhttp), and what is refused before a call.

No request may have a body, so that the end of one request is never in question: whatever announces a body, or
breaks a rule, is the last request of its connection.
"""

from collections import deque
from dataclasses import dataclass, field

import grpc
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from gostream_api.read_door.http1.replies import Answer, refusal
from gostream_api.read_door.limits import MAX_HEAD, MAX_HEADERS
from gostream_shared.observability.tracing import spans

_PER_HEADER = 4  # the colon, a space and the end of the line
_BODY = {b"content-length", b"transfer-encoding"}
#: Headers that a call depends on.
_OF_CALLS = {b"authorization", b"grpc-timeout", b"x-gostream-subject", b"x-request-id"}


@dataclass(slots=True)
class Request:
    """A request, or the reason against it; `headers` are the ones that a call depends on."""

    method: bytes = b""
    target: bytes = b""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    closes: bool = False  # the connection, after the reply
    refusal: Answer | None = None


class RequestParser:
    """Appends the requests of one connection to `requests`."""

    def __init__(self) -> None:
        self.requests: deque[Request] = deque()
        self.begun = 0
        self.is_unfinished = False  # a part of a request was received
        self.is_over = False  # whatever follows is ignored
        self._parser: HttpRequestParser = HttpRequestParser(self)
        self._fed = 0
        self._reset()

    def feed(self, data: bytes) -> None:
        """Parse some bytes. A malformed request is refused."""
        if self.is_over:
            return
        begun = self.begun
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            # The upgrade is ignored, as RFC 9110 (7.8) allows; the parser cannot continue.
            if not self.is_over:
                self.requests[-1].closes = self.is_over = True
        except HttpParserError:
            self._refuse(_MALFORMED)
        # httptools keeps an unfinished header. What began within `data` is counted when it is complete.
        self._fed = self._fed + len(data) if self.is_unfinished and self.begun == begun else 0
        if self._fed > MAX_HEAD:
            self._refuse(_TOO_LARGE)

    def expire(self) -> None:
        """Refuse the request whose end did not arrive in time."""
        self._refuse(_TOO_SLOW)

    def close(self) -> None:
        """Break the reference cycle with the parser."""
        self.is_over = True
        del self._parser

    # -- called by httptools

    def on_message_begin(self) -> None:
        self.begun += 1
        self.is_unfinished = True
        self._reset()

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value) + _PER_HEADER
        self._count += 1
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name in _OF_CALLS or (name == b"traceparent" and spans.are_on()):
            is_doubled = name == b"authorization" and name in self._headers
            self._headers[name] = b"" if is_doubled else value  # several tokens count as none
        elif name in _BODY:
            self._has_body |= value != b"0"

    def on_headers_complete(self) -> None:
        if self.is_over:
            return
        self.is_unfinished = False
        version = self._parser.get_http_version()
        if refused := self._refused(version):
            self._refuse(refused, method=self._parser.get_method())
            return
        closes = version == "1.0" or not self._parser.should_keep_alive()
        self.requests.append(Request(self._parser.get_method(), self._target, self._headers, closes))
        self.is_over = closes

    def _refused(self, version: str) -> Answer | None:
        if self._size + len(self._target) > MAX_HEAD or self._count > MAX_HEADERS:
            return _TOO_LARGE
        if version not in {"1.0", "1.1"}:
            return _UNKNOWN_VERSION
        if self._hosts > 1 or (version == "1.1" and not self._hosts):
            return _NO_HOST
        return _BODY_REFUSED if self._has_body else None

    def _refuse(self, answer: Answer, method: bytes = b"") -> None:
        if not self.is_over:
            self.is_over = True
            self.is_unfinished = False
            self.requests.append(Request(method, closes=True, refusal=answer))

    def _reset(self) -> None:
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._size = self._count = self._hosts = 0
        self._has_body = False


_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_MALFORMED = refusal(_INVALID, "invalid request (Bad Request)")
_NO_HOST = refusal(_INVALID, "invalid request (exactly one Host is needed)")
_BODY_REFUSED = refusal(_INVALID, "invalid request (this port takes no body)")
_UNKNOWN_VERSION = refusal(grpc.StatusCode.UNIMPLEMENTED, "HTTP Version Not Supported", status=505)
_TOO_LARGE = refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "Request Header Fields Too Large", status=431)
_TOO_SLOW = refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "Request Timeout", status=408)
