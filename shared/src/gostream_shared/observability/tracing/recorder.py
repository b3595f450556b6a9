"""The implementation of `spans` on the OpenTelemetry SDK."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler
from opentelemetry.trace import (
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    get_current_span,
)

from gostream_shared.observability.tracing.calls import MethodCalls
from gostream_shared.observability.tracing.carrier import parent_context, traceparent_of
from gostream_shared.observability.tracing.queries import QuerySpans
from gostream_shared.observability.tracing.sampling import HeadSampling, Sampling
from gostream_shared.observability.tracing.spans import Attribute, CallTracer
from gostream_shared.observability.tracing.store import StoreSpans

_NAME = "gostream"


class Recorder:
    """Implements spans.Tracing. Ended spans go to `processor`."""

    def __init__(self, sampling: Sampling, resource: Resource, processor: SpanProcessor) -> None:
        def tracer(sampler: Sampler) -> Tracer:
            provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
            provider.add_span_processor(processor)
            return provider.get_tracer(_NAME)

        self.tracer = tracer(sampling.sampler())
        self._head = HeadSampling(sampling)
        self._hits = tracer(ALWAYS_ON)  # `_head` has decided about these

    def span(
        self, name: str, attributes: Mapping[str, Attribute], *, is_request: bool
    ) -> AbstractContextManager[None]:
        if not get_current_span().is_recording():
            return nullcontext()
        return self._span(name, attributes, SpanKind.CLIENT if is_request else SpanKind.INTERNAL)

    @contextmanager
    def _span(self, name: str, attributes: Mapping[str, Attribute], kind: SpanKind) -> Iterator[None]:
        with self.tracer.start_as_current_span(
            name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:
                mark_failed(span, type(error).__name__)
                raise

    def annotate(self, attributes: Mapping[str, Attribute], error: str) -> None:
        span = get_current_span()
        if span.is_recording():
            span.set_attributes(attributes)
            if error:
                mark_failed(span, error)

    def link(self, traceparent: str) -> None:
        span = get_current_span()
        linked = get_current_span(parent_context(traceparent)).get_span_context()
        if span.is_recording() and linked.is_valid:
            span.add_link(linked)

    def traceparent(self) -> str:
        context = get_current_span().get_span_context()
        return traceparent_of(context) if context.is_valid and context.trace_flags.sampled else ""

    def ids(self) -> tuple[str, str] | None:
        context = get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return format_trace_id(context.trace_id), format_span_id(context.span_id)

    def calls(self, method: str, door: str) -> CallTracer:
        return MethodCalls(method, door, self.tracer, self._hits, self._head)

    def query_logger(self) -> Callable[[Any], None]:
        return QuerySpans(self.tracer).record

    def watch_store(self, events: Any) -> None:
        StoreSpans(self.tracer).watch(events)


def mark_failed(span: Span, error: str) -> None:
    """Set the status ERROR. Messages are left out, because they may name files and hosts of users."""
    span.set_attribute("error.type", error)
    span.set_status(StatusCode.ERROR)
