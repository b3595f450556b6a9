"""The W3C `traceparent`. `tracestate` and baggage of callers are not kept."""

from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, format_span_id, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

#: Longer values are not parsed.
_LONGEST = 256
_propagator = TraceContextTextMapPropagator()


def parent_context(traceparent: str | None) -> Context:
    """Returns a context with that parent; one without a span if it is malformed or None."""
    if traceparent is None or len(traceparent) > _LONGEST:
        return Context()
    return _propagator.extract({"traceparent": traceparent}, Context())


def traceparent_of(context: SpanContext) -> str:
    """Returns the header of a valid span context."""
    trace, span = format_trace_id(context.trace_id), format_span_id(context.span_id)
    return f"00-{trace}-{span}-{context.trace_flags:02x}"
