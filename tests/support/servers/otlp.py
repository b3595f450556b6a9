"""Spans as a collector and as a process see them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pgqueuer.ports.tracing import TRACER

from gostream_shared.observability.tracing import spans
from gostream_shared.observability.tracing.jobs import JobTracing
from gostream_shared.observability.tracing.recorder import Recorder
from gostream_shared.observability.tracing.sampling import Sampling


@dataclass(frozen=True)
class Seen:
    """One exported span. Ids are in hexadecimal; `links` are (trace, span)."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    failed: bool
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    began: int
    ended: int


@dataclass
class Collector(TraceServiceServicer):
    """An OTLP receiver on loopback."""

    port: int = 0
    seen: list[Seen] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def named(self, name: str, **attributes: Any) -> list[Seen]:
        """The spans of that name with these attributes (`__` stands for a dot)."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        return [each for each in self.seen if each.name == name and wanted.items() <= each.attributes.items()]

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        for resource in request.resource_spans:
            service = _plain(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.seen += [_seen(service, span) for span in scope.spans]
        return ExportTraceServiceResponse()


@contextmanager
def collecting() -> Iterator[Collector]:
    """Receives spans until the block ends."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(4))
    add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    collector.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield collector
    finally:
        server.stop(0).wait()


@contextmanager
def recording(sampler: str = "parentbased_always_on", ratio: float = 1.0) -> Iterator[InMemorySpanExporter]:
    """Turns traces of this process on until the block ends."""
    exporter = InMemorySpanExporter()
    recorder = Recorder(
        Sampling(sampler, ratio), Resource({"service.name": "test"}), SimpleSpanProcessor(exporter)
    )
    spans.install(recorder)
    TRACER.tracer = JobTracing(recorder.tracer)
    try:
        yield exporter
    finally:
        spans.install(None)
        TRACER.tracer = None


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def _seen(service: str, span: Any) -> Seen:
    return Seen(
        service=service,
        name=span.name,
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        failed=span.status.code == 2,
        attributes=_plain(span.attributes),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
    )
