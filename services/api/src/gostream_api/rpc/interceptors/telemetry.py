"""Request ids, one log line and the metrics of every RPC."""

import asyncio
import logging
import re
import time
from os import urandom
from typing import Any

import grpc
import structlog
from grpc import aio
from prometheus_client import Counter, Gauge, Histogram

from gostream_api.batched_counter import BatchedCounter
from gostream_api.rpc.interceptors.base import (
    Asked,
    Behavior,
    BehaviorInterceptor,
    Context,
    Handler,
    Metadata,
)
from gostream_shared.observability.tracing import spans

REQUEST_ID = "x-request-id"
TRACEPARENT = "traceparent"

_HANDLED = Counter("gostream_rpc_handled_total", "RPCs that ended, by status code", ["method", "code"])
_DURATION = Histogram(
    "gostream_rpc_duration_seconds",
    "How long unary RPCs took",
    ["method"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_IN_FLIGHT = Gauge("gostream_rpc_in_flight", "RPCs in progress", ["method"])

#: A caller's request id that is safe in logs and headers.
SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: Frequent methods, whose successful calls are logged at DEBUG only.
_QUIET = frozenset({"/gostream.v1.VideoService/GetVideo", "/gostream.v1.VideoService/BatchGetVideos"})
#: Health and reflection, which are logged at DEBUG unless they fail.
_INFRASTRUCTURE = "/grpc."
#: Codes that an operator should see: logged as warnings.
_FAULTS = frozenset(
    {
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.UNAVAILABLE,
    }
)

_name = "gostream.rpc"
_log = structlog.stdlib.get_logger(_name)
_is_enabled = logging.getLogger(_name).isEnabledFor


class Meter:
    """The metrics, log lines and spans of one method, for any transport.

    `door` names the transport. `parent` is the caller's `traceparent`, None without one or without traces.
    """

    def __init__(self, method: str, *, is_unary: bool, door: str = "grpc") -> None:
        self._calls = spans.calls(method, door)
        self._record_hit = self._calls.hit if self._calls is not None else None
        self._method = method
        self._in_flight = _IN_FLIGHT.labels(method)
        self._duration = _DURATION.labels(method) if is_unary else None
        self._handled: dict[grpc.StatusCode, Counter] = {}
        self._local_hits = BatchedCounter(_HANDLED.labels(method, grpc.StatusCode.OK.name))

    def begin(self, parent: str | None = None) -> None:
        """Note the beginning of a call in its own task."""
        self._in_flight.inc()
        if self._calls is not None:
            self._calls.begin(parent)

    def count_local_hit(self, parent: str | None = None) -> None:
        """Count a successful L1 hit, slightly delayed.

        Does not log it or measure its duration, because each would cost as much as the reply.
        """
        self._local_hits.add()
        if self._record_hit is not None:
            self._record_hit(parent)

    def leave(self) -> None:
        self._in_flight.dec()

    def count(self, code: grpc.StatusCode, seconds: float, parent: str | None = None) -> None:
        """Count and log an ended call."""
        handled = self._handled.get(code)
        if handled is None:
            handled = self._handled[code] = _HANDLED.labels(self._method, code.name)
        handled.inc()
        if self._duration is not None:
            self._duration.observe(seconds)
        _write_log(self._method, code, seconds)
        if self._calls is not None:
            self._calls.end(code.name, seconds, parent)


class TelemetryInterceptor(BehaviorInterceptor):
    """Measures every RPC from its start to its real end, including cancellations and expired deadlines."""

    def wrap(self, method: str, handler: Handler, behavior: Behavior) -> Behavior:
        meter = Meter(method, is_unary=not handler.request_streaming and not handler.response_streaming)

        async def observed(request: Any, context: Context) -> Any:
            is_asked = isinstance(request, Asked)
            metadata = () if is_asked else context.invocation_metadata() or ()
            request_id = request.request_id if is_asked else request_id_among(metadata)
            parent = request.traceparent if is_asked else traceparent_among(metadata)
            context.set_trailing_metadata(((REQUEST_ID, request_id),))
            structlog.contextvars.bind_contextvars(request_id=request_id, method=method)
            if is_asked and request.caller.id:
                structlog.contextvars.bind_contextvars(principal=request.caller.id)
            started = time.perf_counter()
            code = grpc.StatusCode.UNKNOWN
            meter.begin(parent)
            try:
                response = await behavior(request, context)
                code = grpc.StatusCode.OK
                return response  # noqa: TRY300 - `else` would also run after a lost response
            except aio.AbortError:
                code = context.code()
                raise
            except aio.BaseError:  # the transport failed: the client has left
                code = grpc.StatusCode.CANCELLED
                raise
            except asyncio.CancelledError:
                code = _why_cancelled(context)
                raise
            finally:
                meter.leave()
                meter.count(code, time.perf_counter() - started)

        return observed


def request_id_of(context: Context) -> str:
    """Returns the request id of this RPC."""
    return next((str(value) for key, value in context.trailing_metadata() if key == REQUEST_ID), "")


def add_trailers(context: Context, *trailers: tuple[str, str | bytes]) -> None:
    """Add trailing metadata to the existing ones."""
    context.set_trailing_metadata((*context.trailing_metadata(), *trailers))


def new_request_id() -> str:
    """Returns a random UUID (version 4) in hexadecimal, three times as fast as the uuid module."""
    random = urandom(16).hex()
    return f"{random[:12]}4{random[13:16]}a{random[17:]}"


def request_id_among(metadata: Metadata) -> str:
    """Returns the caller's request id if it is valid, else a new one."""
    for key, value in metadata:
        if key == REQUEST_ID and isinstance(value, str) and SANE.fullmatch(value):
            return value
    return new_request_id()


def traceparent_among(metadata: Metadata) -> str | None:
    """Returns the caller's `traceparent`, not validated; None without one."""
    return next((value for key, value in metadata if key == TRACEPARENT and isinstance(value, str)), None)


def _why_cancelled(context: Context) -> grpc.StatusCode:
    remaining: float | None = context.time_remaining()  # None: the client set no deadline
    if remaining is not None and remaining <= 0:
        return grpc.StatusCode.DEADLINE_EXCEEDED
    return grpc.StatusCode.CANCELLED


def _write_log(method: str, code: grpc.StatusCode, elapsed: float) -> None:
    if code in _FAULTS:
        level = logging.WARNING
    elif method.startswith(_INFRASTRUCTURE) or (code is grpc.StatusCode.OK and method in _QUIET):
        level = logging.DEBUG
    else:
        level = logging.INFO
    if _is_enabled(level):
        _log.log(level, "rpc", code=code.name, duration_ms=round(elapsed * 1000, 2))
