"""The configuration of traces, by the names of OpenTelemetry."""

from pydantic import BaseModel, Field

from gostream_shared.config_types import HttpUrl, OtlpProtocol, TraceSampler


class TracesConfig(BaseModel):
    """The variables of OpenTelemetry that the services read themselves; its SDK reads further ones."""

    otel_exporter_otlp_endpoint: HttpUrl | None = Field(
        None, description="OpenTelemetry collector for traces, by OTLP over gRPC; unset = no traces"
    )
    otel_exporter_otlp_protocol: OtlpProtocol = Field("grpc", description="only grpc")
    otel_sdk_disabled: bool = Field(False, description="true = no traces, also with a collector")
    otel_traces_sampler: TraceSampler = Field(
        "parentbased_always_on", description="which traces are recorded; parentbased: as the caller decided"
    )
    otel_traces_sampler_arg: float = Field(
        1.0, ge=0.0, le=1.0, description="the share of traces that traceidratio records"
    )
