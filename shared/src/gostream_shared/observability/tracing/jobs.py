"""Spans of jobs, by the semantic conventions of messaging: their context travels in the job's row.

PgQueuer's own tracer ends every span with the status OK, also that of a failed job.
"""

import json
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager

from opentelemetry.trace import Span, SpanKind, Tracer
from pgqueuer.domain.models import Job

from gostream_shared.observability.tracing.carrier import parent_context, traceparent_of

_SECTION = "otel"
#: What a payload tells, by the names of the attributes.
_FACTS = {"video_id": "gostream.video.id", "number": "gostream.encode", "chunk": "gostream.chunk"}


class JobTracing:
    """Implements pgqueuer.ports.tracing.TracingProtocol. A job belongs to the trace that enqueued it."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def trace_publish(self, entrypoints: list[str]) -> Generator[dict[str, object], None, None]:
        """Yields the headers of each job."""
        for entrypoint in entrypoints:
            span = self._tracer.start_span(
                f"send {entrypoint}", kind=SpanKind.PRODUCER, attributes=_attributes(entrypoint, "send")
            )
            span.end()  # now, because PgQueuer does not exhaust the generator
            yield {_SECTION: {"traceparent": traceparent_of(span.get_span_context())}}

    @asynccontextmanager
    async def trace_process(self, job: Job) -> AsyncIterator[None]:
        """The span of one delivery; what the job annotates is its outcome."""
        with self._tracer.start_as_current_span(
            f"process {job.entrypoint}",
            parent_context(_traceparent(job)),
            kind=SpanKind.CONSUMER,
            attributes={**_attributes(job.entrypoint, "process"), "messaging.message.id": str(job.id)},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            _tell(span, job.payload or b"")
            yield


def _attributes(entrypoint: str, operation: str) -> dict[str, str]:
    return {
        "messaging.system": "pgqueuer",
        "messaging.destination.name": entrypoint,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }


def _traceparent(job: Job) -> str | None:
    """Returns what the row says, which another release may have written."""
    section = (job.headers or {}).get(_SECTION)
    found = section.get("traceparent") if isinstance(section, Mapping) else None
    return found if isinstance(found, str) else None


def _tell(span: Span, payload: bytes) -> None:
    if not span.is_recording():
        return
    try:
        facts = json.loads(payload)
    except ValueError:
        return
    for name, attribute in _FACTS.items():
        if isinstance(facts, dict) and isinstance(value := facts.get(name), str | int):
            span.set_attribute(attribute, value)
