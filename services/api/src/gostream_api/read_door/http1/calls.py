"""The JSON calls of the read door: from a request to an answer."""

import asyncio
import re
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field

import grpc
import structlog
from httptools import HttpParserInvalidURLError, parse_url

from gostream_api.auth.authenticator import Authenticator
from gostream_api.auth.tokens import MAX_TOKEN
from gostream_api.read_door.http1.replies import Answer, failed, refusal
from gostream_api.read_door.http1.requests import Request
from gostream_api.reads.ports import Layer, LocalVideoReader
from gostream_api.rpc import grpc_framing
from gostream_api.rpc.admission import AUTHORIZATION, NOTHING, Admission, Shown, shown_in
from gostream_api.rpc.grpc_framing import RefusedError
from gostream_api.rpc.interceptors.errors import logged_failure
from gostream_api.rpc.interceptors.limits import ConcurrencyLimiter
from gostream_api.rpc.interceptors.telemetry import REQUEST_ID, SANE, TRACEPARENT, Meter, new_request_id
from gostream_api.rpc.json.reads import JSON_READS, JsonRead, VideoRead
from gostream_api.rpc.servicer import SERVICE
from gostream_api.rpc.validation import canonical_id
from gostream_shared.domain.errors import TooManyRequestsError

_VIDEO = b"/v1/videos/"
_BATCH = b"/v1/videos:batchGet"
_WATCH = b":watch"
_REQUEST_ID, _TRACEPARENT = REQUEST_ID.encode(), TRACEPARENT.encode()
_LAYERS = {layer: layer.value.encode() for layer in Layer}

#: The usual request: `GET /v1/videos/{id} HTTP/1.1` and headers.
_USUAL = b"GET " + _VIDEO
_ID = slice(len(_USUAL), len(_USUAL) + 36)
_TARGET = slice(len(b"GET "), _ID.stop)
#: What follows the target of usual requests: how many such parts are known, and their size.
_MAX_TAILS, _MAX_TAIL = 256, 1024

_AUTHORIZATION = AUTHORIZATION.encode()
#: The header of a token as clients spell it; the characters are those of RFC 6750, section 2.1.
_TOKEN = re.compile(rb"\r\n[Aa]uthorization: ([Bb]earer [A-Za-z0-9._~+/=-]{1,%d})(?=\r\n)" % MAX_TOKEN)
Parse = Callable[[], JsonRead]


@dataclass(slots=True, eq=False)
class JsonCall:
    """One call, from its request to its answer."""

    method: "JsonMethod"
    request_id: bytes
    parse: Parse
    shown: Shown = NOTHING
    read: JsonRead | None = None
    traceparent: str | None = None
    timeout: float | None = None
    started: float = field(default_factory=time.perf_counter)

    def answer(self) -> Answer | None:
        """Answer from L1; returns None on a miss."""
        return self.method.answer(self)

    async def load(self, deadline: float) -> Answer:
        """Answer from the read path, at the latest after `deadline` seconds."""
        return await self.method.load(self, deadline)

    def refuse_busy(self) -> Answer:
        """Refuse the call because of what clients make the door keep."""
        return self.method.fail(self, TooManyRequestsError())

    def arguments(self) -> JsonRead:
        """Returns the arguments. Raises InvalidRequestError and RefusedError."""
        if self.read is None:
            self.read = self.parse()
        return self.read


@dataclass(slots=True)
class Client:
    """The client of a connection: the SPIFFE id of its certificate, and its last usual request."""

    certificate: bytes | None = None
    #: The part after the target, which clients repeat, and its token.
    tail: bytes | None = None
    shown: Shown = NOTHING


class JsonMethod:
    """Answers the calls of one method."""

    def __init__(
        self,
        name: str,
        reads: LocalVideoReader,
        limiter: ConcurrencyLimiter,
        authenticator: Authenticator,
    ) -> None:
        self.path = f"/{SERVICE}/{name}"
        self._admission = Admission(authenticator, self.path)
        self.parse = JSON_READS[name]
        self._reads = reads
        self._limiter = limiter
        self._meter = Meter(self.path, is_unary=True, door="json")

    def answer(self, call: JsonCall) -> Answer | None:
        try:
            caller = self._admission.now(call.shown)
            found = None if caller is None else call.arguments().peek(self._reads, caller)
        except Exception as error:  # noqa: BLE001 - the last handler of unexpected errors
            return self.fail(call, error)
        if found is None:
            return None
        self._meter.count_local_hit(call.traceparent)
        return _ok(call, *found)

    async def load(self, call: JsonCall, deadline: float) -> Answer:
        structlog.contextvars.bind_contextvars(request_id=call.request_id.decode(), method=self.path)
        self._meter.begin(call.traceparent)
        try:
            with self._limiter.unary_call():
                async with asyncio.timeout(min(deadline, call.timeout or deadline)):
                    caller = await self._admission.later(call.shown)
                    body, layer = await call.arguments().load(self._reads, caller)
        except asyncio.CancelledError:
            self._count(call, grpc.StatusCode.CANCELLED)
            raise
        except TimeoutError:
            return self._fail(call, grpc_framing.expired())
        except Exception as error:  # noqa: BLE001 - the last handler of unexpected errors
            return self._fail(call, error)
        else:
            self._count(call, grpc.StatusCode.OK)
            return _ok(call, body, layer)
        finally:
            self._meter.leave()

    def fail(self, call: JsonCall, error: Exception) -> Answer:
        """Returns the answer to an error, and counts it. Its log line needs a separate context."""
        return copy_context().run(self._fail, call, error)

    def _fail(self, call: JsonCall, error: Exception) -> Answer:
        fields = b"x-request-id: %b\r\n" % call.request_id
        if isinstance(error, RefusedError):
            self._count(call, error.code)
            return refusal(error.code, str(error), fields=fields)
        name = call.request_id.decode()
        structlog.contextvars.bind_contextvars(request_id=name, method=self.path)
        failure = logged_failure(error, request_id=name)
        self._count(call, failure.code)
        return failed(failure, fields)

    def _count(self, call: JsonCall, code: grpc.StatusCode) -> None:
        self._meter.count(code, time.perf_counter() - call.started, call.traceparent)


class JsonTable:
    """The JSON calls of the read door, by path. `is_short` = recognise usual requests without the parser."""

    def __init__(
        self,
        reads: LocalVideoReader,
        limiter: ConcurrencyLimiter,
        elsewhere: str,
        authenticator: Authenticator,
        *,
        is_short: bool = True,
    ) -> None:
        self._video = JsonMethod("GetVideo", reads, limiter, authenticator)
        self._batch = JsonMethod("BatchGetVideos", reads, limiter, authenticator)
        self._nowhere = refusal(grpc.StatusCode.NOT_FOUND, elsewhere)
        self._is_short = is_short
        self._tails: set[tuple[bytes, ...]] = set()

    def open(self, request: Request, certificate: bytes | None) -> JsonCall | Answer:
        """Begin a call, or refuse it. `certificate`: the SPIFFE id of its connection."""
        if request.refusal is not None:
            return request.refusal
        path, query = _split(request.target)
        method, segment = self._route(path)
        if path == b"":
            return _BAD_TARGET
        if method is None:
            return self._nowhere
        if request.method != b"GET":
            return _ONLY_GET
        sent = request.headers.get(_REQUEST_ID, b"").decode("latin-1")
        request_id = sent if SANE.fullmatch(sent) else new_request_id()
        shown = shown_in(request.headers.items(), certificate)
        call = JsonCall(method, request_id.encode(), lambda: method.parse(segment, query), shown)
        if (parent := request.headers.get(_TRACEPARENT)) is not None:
            call.traceparent = parent.decode("latin-1")
        try:
            call.timeout = grpc_framing.timeout_of(request.headers)
        except RefusedError as refused:
            return method.fail(call, refused)
        return call

    def learn(self, data: bytes, request: Request) -> None:
        """Remember how a usual request goes on after its target, if `data` is exactly this request.

        The token is cut out. Requests with another header that a call depends on are not remembered.
        """
        token, pieces = _cut(data[_ID.stop :])
        if (
            self._is_short
            and data.startswith(_USUAL)
            and data[_TARGET] == request.target
            and sum(map(len, pieces)) <= _MAX_TAIL
            and request.headers == ({} if token is None else {_AUTHORIZATION: token})
            and not (request.closes or request.refusal)
        ):
            if len(self._tails) >= _MAX_TAILS:
                self._tails.clear()
            self._tails.add(pieces)

    def recognise(self, data: bytes, client: Client) -> JsonCall | None:
        """Returns the call of a usual request for another id or token than a learnt one, else None.

        `data` must begin with a request. The parser would read it alike: the rest is the same bytes, and
        neither an id nor the characters of a token can change their meaning.
        """
        tail = data[_ID.stop :]
        if tail != client.tail:
            token, pieces = _cut(tail)
            if pieces not in self._tails:
                return None
            client.tail, client.shown = tail, Shown(token, None, client.certificate)
        if not data.startswith(_USUAL):
            return None
        video_id = canonical_id(data[_ID].decode("latin-1"))
        if video_id is None:
            return None
        return JsonCall(self._video, new_request_id().encode(), _parsed, client.shown, VideoRead(video_id))

    def _route(self, path: bytes) -> tuple[JsonMethod | None, bytes]:
        """Returns the method of a path, and the segment that is its argument."""
        if path == _BATCH:
            return self._batch, b""
        segment = path.removeprefix(_VIDEO)
        if segment == path or not segment or b"/" in segment or segment.endswith(_WATCH):
            return None, b""
        return self._video, segment


def _cut(tail: bytes) -> tuple[bytes | None, tuple[bytes, ...]]:
    """Returns the value of the first header with a token, None without one, and the pieces around it."""
    found = _TOKEN.search(tail)
    if found is None:
        return None, (tail,)
    begin, end = found.span(1)
    return found[1], (tail[:begin], tail[end:])


def _parsed() -> JsonRead:
    raise AssertionError  # the call has its arguments


def _split(target: bytes) -> tuple[bytes, bytes]:
    """Returns path and query of a target, also of a complete URL; an empty path if it has none."""
    if b"#" in target:
        return b"", b""
    if not target.startswith(b"/"):
        try:
            url = parse_url(target)
        except HttpParserInvalidURLError:
            return b"", b""
        is_http = url.schema is not None and url.schema.lower() in {b"http", b"https"}
        return (url.path or b"/", url.query or b"") if is_http else (b"", b"")
    path, _, query = target.partition(b"?")
    return path, query


def _ok(call: JsonCall, body: bytes, layer: Layer) -> Answer:
    return Answer(200, body, b"x-cache: %b\r\nx-request-id: %b\r\n" % (_LAYERS[layer], call.request_id))


_BAD_TARGET = refusal(grpc.StatusCode.INVALID_ARGUMENT, "invalid request (Bad Request)")
_ONLY_GET = refusal(
    grpc.StatusCode.UNIMPLEMENTED, "this path takes GET only", status=405, fields=b"allow: GET\r\n"
)
