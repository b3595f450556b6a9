"""Exports spans by OTLP over gRPC. The SDK reads its variables for headers, certificates and batches."""

import os
import socket
from collections.abc import Callable

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pgqueuer.ports.tracing import TRACER

from gostream_shared.observability.tracing import spans
from gostream_shared.observability.tracing.jobs import JobTracing
from gostream_shared.observability.tracing.recorder import Recorder
from gostream_shared.observability.tracing.sampling import Sampling


def begin_export(endpoint: str, service: str, sampler: str, ratio: float) -> Callable[[], None]:
    """Install a recorder. Returns a function that exports the rest; it may block."""
    processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint))
    recorder = Recorder(Sampling(sampler, ratio), resource_of(service), processor)
    spans.install(recorder)
    TRACER.tracer = JobTracing(recorder.tracer)

    def finish() -> None:
        TRACER.tracer = None
        processor.shutdown()  # type: ignore[no-untyped-call]

    return finish


def resource_of(service: str) -> Resource:
    """Returns what describes this process. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have precedence."""
    here = {"service.name": service, "service.instance.id": f"{socket.gethostname()}:{os.getpid()}"}
    return Resource(here).merge(OTELResourceDetector().detect())
