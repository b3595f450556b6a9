"""Server spans of RPCs, by the semantic conventions of RPC (release candidate)."""

from contextvars import ContextVar
from time import time_ns

from opentelemetry import context as contexts
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context

from gostream_shared.observability.tracing.carrier import parent_context
from gostream_shared.observability.tracing.sampling import HeadSampling
from gostream_shared.observability.tracing.spans import Attribute

#: Codes that are errors of the server. Others, such as NOT_FOUND and CANCELLED, are the client's.
_ERRORS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})

_current: ContextVar[Span | None] = ContextVar("gostream_call", default=None)


class MethodCalls:
    """Implements spans.CallTracer. `hits` records everything, for calls that `head` admits."""

    def __init__(self, method: str, door: str, tracer: Tracer, hits: Tracer, head: HeadSampling) -> None:
        self._name = method.removeprefix("/")
        self._attributes: dict[str, Attribute] = {
            "rpc.system.name": "grpc",
            "rpc.method": self._name,
            "gostream.door": door,
        }
        self._tracer = tracer
        self._hits = hits
        self._admits = head.admits

    def begin(self, parent: str | None) -> None:
        span = self._start(self._tracer, parent)
        _current.set(span)
        contexts.attach(set_span_in_context(span))

    def end(self, code: str, seconds: float, parent: str | None) -> None:
        span, ended = _current.get(), None
        if span is None:
            ended = time_ns()
            span = self._start(self._tracer, parent, ended - int(seconds * 1e9))
        if span.is_recording():
            span.set_attribute("rpc.response.status_code", code)
            if code in _ERRORS:
                span.set_attribute("error.type", code)
                span.set_status(StatusCode.ERROR)
        span.end(ended)

    def hit(self, parent: str | None) -> None:
        if self._admits(parent):
            now = time_ns()
            span = self._start(self._hits, parent, now)
            span.set_attributes({"rpc.response.status_code": "OK", "gostream.cache.layer": "L1"})
            span.end(now)

    def _start(self, tracer: Tracer, parent: str | None, at: int | None = None) -> Span:
        return tracer.start_span(
            self._name,
            parent_context(parent),
            kind=SpanKind.SERVER,
            attributes=self._attributes,
            start_time=at,
        )
