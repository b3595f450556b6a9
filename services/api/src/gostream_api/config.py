"""What the API needs to know, on top of what both services do."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator

from gostream_api.interceptors.clients import networks
from gostream_api.scheduling import Scheduling
from gostream_shared.config import Config, Duration, Port

_SCHEDULING = "batch: more calls a core; normal: sooner at work on cores that others want too"


class ReadConfig(Config):
    """The knobs of whatever answers reads; see gostream_shared.config for how they are read."""

    database_pool_size: int = Field(10, ge=2, description="most connections to PostgreSQL")
    max_concurrent_rpcs: int = Field(
        1000, gt=0, description="unary calls at work beyond which more are refused"
    )
    shutdown_delay: Duration = Field(
        timedelta(seconds=5), description="from NOT_SERVING to the stop: clients must notice in it"
    )
    shutdown_grace: Duration = Field(timedelta(seconds=20), description="for calls at work to end after that")


class DoorConfig(ReadConfig):
    """The knobs of the fast door's application; Envoy has its own configuration."""

    metrics_port: Port = Field(9103, description="port of the Prometheus endpoint; 0 = a free one")
    scheduling: Scheduling = Field("batch", description=_SCHEDULING)


class ApiConfig(ReadConfig):
    """The API's knobs."""

    api_host: str = Field("0.0.0.0", description="interface of the gRPC server")  # noqa: S104 - containers
    api_port: Port = Field(50051, description="port of the gRPC server; 0 = a free one")
    metrics_port: Port = Field(9101, description="port of the Prometheus endpoint; 0 = a free one")
    api_processes: int = Field(
        1, ge=1, description="processes that share the port; their metrics ports count up from METRICS_PORT"
    )
    scheduling: Scheduling = Field("normal", description=_SCHEDULING)
    source_max_bytes: int = Field(5 * 1024**3, gt=0, description="largest upload accepted")
    upload_url_ttl: Duration = Field(timedelta(hours=1), description="how long an upload URL works")
    queue_limit: int = Field(1000, gt=0, description="waiting encodes beyond which TriggerProcess is refused")
    max_watches: int = Field(5000, gt=0, description="open WatchVideo streams beyond which more are refused")
    watches_per_client: int = Field(50, gt=0, description="the same for one client, known by its address")
    trusted_proxies: str = Field(
        "", description="networks of proxies whose x-forwarded-for names the client, with commas between"
    )
    reflection: Literal["auto", "on", "off"] = Field(
        "auto", description="gRPC reflection; auto: on, as long as callers are not authenticated"
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, text: str) -> str:
        try:
            networks(text)
        except ValueError:
            raise ValueError("must be networks such as 10.0.0.0/8, with commas between") from None
        return text
