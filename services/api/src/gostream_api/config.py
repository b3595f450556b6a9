"""What the API needs to know, on top of what both services do."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from gostream_api.cpu_scheduling import Scheduling
from gostream_api.rpc.interceptors.clients import networks
from gostream_shared.config import Config
from gostream_shared.config_types import (
    PRESIGNED_LIMIT,
    SINGLE_PUT_LIMIT,
    Duration,
    Host,
    ListenPort,
    lowered,
)

#: Between the metrics ports of two processes of one API: those in between belong to other programs of ours.
METRICS_STEP = 10
_Scheduling = Annotated[Scheduling, BeforeValidator(lowered)]

_SCHEDULING = "batch: more calls a core; normal: sooner at work on cores that others want too"


class ReadConfig(Config):
    """The knobs of whatever answers reads; see gostream_shared.config for how they are read."""

    database_pool_size: int = Field(10, ge=2, le=1000, description="most connections to PostgreSQL")
    max_concurrent_rpcs: int = Field(
        1000, ge=1, le=1_000_000, description="unary calls at work beyond which more are refused"
    )
    shutdown_delay: Duration = Field(
        timedelta(seconds=5),
        ge=timedelta(0),
        le=timedelta(hours=1),
        description="from NOT_SERVING to the stop: clients must notice in it",
    )
    shutdown_grace: Duration = Field(
        timedelta(seconds=20),
        ge=timedelta(0),
        le=timedelta(hours=1),
        description="for calls at work to end after that",
    )


class DoorConfig(ReadConfig):
    """The knobs of the fast door's application; Envoy has its own configuration."""

    metrics_port: ListenPort = Field(9103, description="port of the Prometheus endpoint; 0 = a free one")
    scheduling: _Scheduling = Field("batch", description=_SCHEDULING)


class ApiConfig(ReadConfig):
    """The API's knobs."""

    api_host: Host = Field("0.0.0.0", description="interface of the gRPC server")  # noqa: S104 - containers
    api_port: ListenPort = Field(50051, description="port of the gRPC server; 0 = a free one")
    metrics_port: ListenPort = Field(9101, description="port of the Prometheus endpoint; 0 = a free one")
    api_processes: int = Field(
        1,
        ge=1,
        le=256,
        description="processes that share the port; their metrics ports are METRICS_PORT, +10, +20, …",
        validate_default=True,
    )
    scheduling: _Scheduling = Field("normal", description=_SCHEDULING)
    source_max_bytes: int = Field(
        SINGLE_PUT_LIMIT, ge=1, le=SINGLE_PUT_LIMIT, description="largest upload accepted"
    )
    upload_url_ttl: Duration = Field(
        timedelta(hours=1),
        ge=timedelta(seconds=1),
        le=PRESIGNED_LIMIT,
        description="how long an upload URL works",
    )
    upload_size_required: bool = Field(
        True, description="CreateVideo needs size_bytes; without, an upload URL admits any size"
    )
    queue_limit: int = Field(
        1000, ge=1, le=10_000_000, description="waiting encodes beyond which TriggerProcess is refused"
    )
    max_watches: int = Field(
        5000, ge=1, le=1_000_000, description="open WatchVideo streams beyond which more are refused"
    )
    watches_per_client: int = Field(
        50, ge=1, le=1_000_000, description="the same for one client, known by its address"
    )
    trusted_proxies: str = Field(
        "", description="networks of proxies whose x-forwarded-for names the client, with commas between"
    )
    reflection: Literal["auto", "on", "off"] = Field(
        "auto", description="gRPC reflection; auto: on, as long as callers are not authenticated"
    )

    @field_validator("api_processes")
    @classmethod
    def _ports_of_all(cls, processes: int, info: ValidationInfo) -> int:
        first, api = info.data.get("metrics_port"), info.data.get("api_port")
        if first and first + METRICS_STEP * (processes - 1) > 65535:
            raise ValueError("asks for metrics ports beyond 65535; lower METRICS_PORT")
        if first and api in range(first, first + METRICS_STEP * processes, METRICS_STEP):
            raise ValueError("puts the metrics of a process on API_PORT; change METRICS_PORT")
        return processes

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, text: str) -> str:
        try:
            networks(text)
        except ValueError:
            raise ValueError("must be networks such as 10.0.0.0/8, with commas between") from None
        return text
