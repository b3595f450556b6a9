"""Spans of what this process does, for code that does not know whether traces are on.

This module does not import OpenTelemetry. Until `install` is called, every function returns at once.
"""

from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeAlias

#: Values of attributes: never titles, URLs, tokens or messages of errors.
Attribute: TypeAlias = str | int | float | bool


class CallTracer(Protocol):
    """The spans of the calls of one RPC method. `parent` is the caller's `traceparent`, if any."""

    def begin(self, parent: str | None) -> None:
        """Begin the span of a call, which is current until the end of this task."""
        ...

    def end(self, code: str, seconds: float, parent: str | None) -> None:
        """End the span of this task's call, or record a span of that length if none has started.

        `code` is the name of the gRPC status.
        """
        ...

    def hit(self, parent: str | None) -> None:
        """Record a call that L1 has answered, if it is sampled. The span has no length."""
        ...


class Tracing(Protocol):
    """What an installed implementation does. See the functions of this module."""

    def span(
        self, name: str, attributes: Mapping[str, Attribute], *, is_request: bool
    ) -> AbstractContextManager[None]: ...

    def annotate(self, attributes: Mapping[str, Attribute], error: str) -> None: ...

    def link(self, traceparent: str) -> None: ...

    def traceparent(self) -> str: ...

    def ids(self) -> tuple[str, str] | None: ...

    def calls(self, method: str, door: str) -> CallTracer: ...

    def query_logger(self) -> Callable[[Any], None]: ...

    def watch_store(self, events: Any) -> None: ...


_NOTHING = nullcontext()
_tracing: Tracing | None = None


def install(tracing: Tracing | None) -> None:
    """Turn traces on; None = off."""
    global _tracing
    _tracing = tracing


def span(name: str, **attributes: Attribute) -> AbstractContextManager[None]:
    """Returns the span of a step, for a `with` block. It is recorded only within a sampled span.

    In names of attributes, `__` stands for a dot. An exception ends the span with the status ERROR.
    """
    if _tracing is None:
        return _NOTHING
    return _tracing.span(name, _dotted(attributes), is_request=False)


def request(name: str, **attributes: Attribute) -> AbstractContextManager[None]:
    """Like `span`, for a request to another server."""
    if _tracing is None:
        return _NOTHING
    return _tracing.span(name, _dotted(attributes), is_request=True)


def annotate(*, error: str = "", **attributes: Attribute) -> None:
    """Add attributes to the current span. With `error`, a class of failures, its status becomes ERROR."""
    if _tracing is not None:
        _tracing.annotate(_dotted(attributes), error)


def link(traceparent: str) -> None:
    """Link the current span to another trace, given as W3C `traceparent`; ignored if it is malformed."""
    if _tracing is not None:
        _tracing.link(traceparent)


def traceparent() -> str:
    """Returns the W3C `traceparent` of the current span; "" if it is not sampled."""
    return _tracing.traceparent() if _tracing is not None else ""


def calls(method: str, door: str) -> CallTracer | None:
    """Returns the tracer of an RPC method, None without traces and for methods of gRPC itself."""
    if _tracing is None or method.startswith("/grpc."):
        return None
    return _tracing.calls(method, door)


def are_on() -> bool:
    """Returns whether traces are on."""
    return _tracing is not None


def query_logger() -> Callable[[Any], None] | None:
    """Returns a query logger for asyncpg, which records a span for each query within a sampled span."""
    return _tracing.query_logger() if _tracing is not None else None


def watch_store(events: Any) -> None:
    """Record a span for each S3 request within a sampled span. `events` are botocore's."""
    if _tracing is not None:
        _tracing.watch_store(events)


def add_ids(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog: adds `trace_id` and `span_id` within a span, sampled or not."""
    if _tracing is not None and (ids := _tracing.ids()) is not None:
        event["trace_id"], event["span_id"] = ids
    return event


def _dotted(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    return {name.replace("__", "."): value for name, value in attributes.items()}
