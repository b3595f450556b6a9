"""The calls of the read door: from headers and message to a reply, as the interceptors of gRPC do it."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import NamedTuple

import grpc
import structlog
from h2.exceptions import ProtocolError
from h2.utilities import HeaderValidationFlags, validate_headers
from hpack import NeverIndexedHeaderTuple

from gostream_api.auth.authenticator import Authenticator
from gostream_api.read_door.limits import MAX_HEADER_LIST
from gostream_api.reads.ports import Layer, LocalVideoReader
from gostream_api.rpc import grpc_framing
from gostream_api.rpc.admission import Admission, Shown, shown_in
from gostream_api.rpc.encoded_reads import READ_CALLS, ReadCall
from gostream_api.rpc.grpc_framing import Header, RefusedError
from gostream_api.rpc.interceptors.errors import logged_failure
from gostream_api.rpc.interceptors.limits import ConcurrencyLimiter
from gostream_api.rpc.interceptors.telemetry import REQUEST_ID, SANE, TRACEPARENT, Meter, new_request_id
from gostream_api.rpc.servicer import SERVICE
from gostream_shared.domain.errors import TooManyRequestsError
from gostream_shared.observability.tracing import spans

#: The headers of every reply, and of a reply whose status is in them.
HEADERS: list[Header] = [
    (b":status", b"200"),
    (b"content-type", b"application/grpc"),
    (b"grpc-accept-encoding", b"identity, deflate, gzip"),
]

_OK: list[Header] = [(b"grpc-status", b"0"), (b"grpc-message", b"")]
_REQUEST_ID, _TRACEPARENT = REQUEST_ID.encode(), TRACEPARENT.encode()
_LAYERS: Mapping[Layer, Header] = {layer: (b"x-cache", layer.value.encode()) for layer in Layer}
_REQUEST = HeaderValidationFlags(
    is_client=False, is_trailer=False, is_response_header=False, is_push_promise=False
)
#: Overhead of one header in the size of a header list (RFC 9113, section 6.5.2).
_PER_HEADER = 32


class MalformedError(Exception):
    """The request breaks a rule of HTTP/2, which ends its stream."""


class Reply(NamedTuple):
    """A reply: a message and trailers, or headers only."""

    message: bytes | None
    end: list[Header]


class Template(NamedTuple):
    """What the headers of a call state that the answer from L1 depends on; `request_id` is the caller's.

    The short path uses it for later calls whose headers are the same, without `CallTable.open`. It has what
    the caller shows, not who the caller is, because a token expires: `find` looks for the caller each time.
    """

    method: "ReadMethod"
    request_id: bytes | None
    shown: Shown
    traceparent: str | None = None


@dataclass(slots=True, eq=False)
class Call:
    """One call, from its headers to its reply."""

    template: Template
    encoding: bytes | None
    timeout: float | None
    request_id: bytes
    started: float = field(default_factory=time.perf_counter)
    body: bytearray = field(default_factory=bytearray)
    is_expired: bool = False

    @property
    def method(self) -> "ReadMethod":
        return self.template.method

    def answer(self) -> "Reply | None":
        """Answer from L1; returns None on a miss."""
        return self.method.answer(self)

    def succeed(self, payload: bytes) -> "Reply":
        """Returns the reply that has a response from L1."""
        return _ok(self, payload, Layer.L1)

    async def load(self) -> "Reply":
        """Answer from the read path. A cancellation counts as the client's, or as an expired deadline."""
        return await self.method.load(self)

    def refuse_busy(self) -> "Reply":
        """Refuse the call because of what clients make the door keep."""
        return self.method.fail(self, TooManyRequestsError())

    def leave(self) -> None:
        """Count a call that ends without a reply."""
        code = grpc.StatusCode.DEADLINE_EXCEEDED if self.is_expired else grpc.StatusCode.CANCELLED
        self.method.count(self, code)


class Opened(NamedTuple):
    """A call and the headers that have opened it."""

    call: Call
    headers: list[Header]


class ReadMethod:
    """Answers the calls of one method."""

    def __init__(
        self,
        path: str,
        call: ReadCall,
        reads: LocalVideoReader,
        limiter: ConcurrencyLimiter,
        authenticator: Authenticator,
    ) -> None:
        self._path = path
        self._admission = Admission(authenticator, path)
        self._call = call
        self._reads = reads
        self._limiter = limiter
        self._meter = Meter(path, is_unary=True, door="read")
        self._count_local_hit = self._meter.count_local_hit

    def answer(self, call: Call) -> Reply | None:
        try:
            found = self.find(call.template, _message(call))
        except Exception as error:  # noqa: BLE001 - the last handler of unexpected errors
            return self.fail(call, error)
        return None if found is None else _ok(call, found, Layer.L1)

    def find(self, template: Template, message: bytes) -> bytes | None:
        """Returns the response from L1 and counts it; None on a miss, or if the caller is not known yet.

        Raises the errors of the read path and those of `Admission.now`.
        """
        caller = self._admission.now(template.shown)
        if caller is None:
            return None
        found = self._call.local(self._reads, caller, message)
        if found is None:
            return None
        self._count_local_hit(template.traceparent)
        return found[0]

    async def load(self, call: Call) -> Reply:
        structlog.contextvars.bind_contextvars(request_id=call.request_id.decode(), method=self._path)
        self._meter.begin(call.template.traceparent)
        try:
            with self._limiter.unary_call():
                caller = await self._admission.later(call.template.shown)
                payload, layer = await self._call.load(self._reads, caller, _message(call))
        except asyncio.CancelledError:
            call.leave()
            raise
        except Exception as error:  # noqa: BLE001 - the last handler of unexpected errors
            return self._fail(call, error)
        else:
            self.count(call, grpc.StatusCode.OK)
            return _ok(call, payload, layer)
        finally:
            self._meter.leave()

    def fail(self, call: Call, error: Exception) -> Reply:
        """Returns the reply to an error, and counts it. Its log line needs a separate context."""
        return copy_context().run(self._fail, call, error)

    def count(self, call: Call, code: grpc.StatusCode) -> None:
        self._meter.count(code, time.perf_counter() - call.started, call.template.traceparent)

    def _fail(self, call: Call, error: Exception) -> Reply:
        if isinstance(error, RefusedError):
            self.count(call, error.code)
            return refusal(error)
        name = call.request_id.decode()
        structlog.contextvars.bind_contextvars(request_id=name, method=self._path)
        failure = logged_failure(error, request_id=name)
        self.count(call, failure.code)
        metadata = [grpc_framing.metadata_header(*pair) for pair in failure.trailers]
        status = grpc_framing.status_headers(failure.code, failure.message)
        return Reply(None, [*status, _never_indexed(call.request_id), *metadata])


class CallTable:
    """The methods of the read door, by path."""

    def __init__(
        self,
        reads: LocalVideoReader,
        limiter: ConcurrencyLimiter,
        elsewhere: str,
        authenticator: Authenticator,
    ) -> None:
        self._elsewhere = elsewhere
        self._methods = {
            f"/{SERVICE}/{name}".encode(): ReadMethod(
                f"/{SERVICE}/{name}", call, reads, limiter, authenticator
            )
            for name, call in READ_CALLS.items()
        }

    def open(self, headers: Iterable[Header], certificate: bytes | None = None) -> Call:
        """Begin a call. `certificate`: the SPIFFE id of its connection.

        Raises MalformedError and RefusedError.
        """
        pairs = [(bytes(name), bytes(value)) for name, value in headers]
        known = dict(pairs)
        _check(pairs, known)
        method = self._methods.get(known[b":path"])
        if method is None:
            raise RefusedError(grpc.StatusCode.UNIMPLEMENTED, self._elsewhere)
        grpc_framing.check_headers(known)
        sent = known.get(_REQUEST_ID, b"").decode("latin-1")
        shown = shown_in(pairs, certificate)
        request_id = sent.encode() if SANE.fullmatch(sent) else None
        template = Template(method, request_id, shown, traceparent_in(known))
        timeout = grpc_framing.timeout_of(known)
        return Call(template, known.get(b"grpc-encoding"), timeout, request_id_of(template))


def request_id_of(template: Template) -> bytes:
    """Returns the caller's request id, or a new one."""
    return template.request_id or new_request_id().encode()


def traceparent_in(headers: Mapping[bytes, bytes]) -> str | None:
    """Returns the caller's `traceparent`, not validated; None without one or without traces."""
    value = headers.get(_TRACEPARENT) if spans.are_on() else None
    return None if value is None else value.decode("latin-1")


def refusal(refused: RefusedError) -> Reply:
    return Reply(None, grpc_framing.status_headers(refused.code, str(refused)))


def _check(pairs: list[Header], known: Mapping[bytes, bytes]) -> None:
    """Check a request by the rules of HTTP/2, and its size. `te` is gRPC's to check."""
    try:
        for _ in validate_headers([pair for pair in pairs if pair[0] != b"te"], _REQUEST):
            pass
    except ProtocolError as error:
        raise MalformedError(str(error)) from None
    size = sum(len(name) + len(value) + _PER_HEADER for name, value in pairs)
    if size > MAX_HEADER_LIST:
        raise RefusedError(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"received metadata size exceeds hard limit ({size} vs. {MAX_HEADER_LIST})",
        )
    if known[b":method"] != b"POST" or not known.get(b"content-type", b"").startswith(b"application/grpc"):
        raise MalformedError("not a gRPC request")


def _message(call: Call) -> bytes:
    return grpc_framing.message_of(call.body, call.encoding)


def _ok(call: Call, payload: bytes, layer: Layer) -> Reply:
    return Reply(payload, [*_OK, _never_indexed(call.request_id), _LAYERS[layer]])


def _never_indexed(request_id: bytes) -> Header:
    """Returns the header of a request id, which would only displace others in the compression's table."""
    return NeverIndexedHeaderTuple(_REQUEST_ID, request_id)
