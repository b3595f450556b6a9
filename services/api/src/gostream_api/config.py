"""The configuration of the API."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from gostream_api.auth.config import AuthConfig
from gostream_api.cpu_scheduling import Scheduling
from gostream_api.rpc.interceptors.clients import networks
from gostream_shared.config_types import (
    PRESIGNED_LIMIT,
    SINGLE_PUT_LIMIT,
    Duration,
    Host,
    KeyPrefixes,
    ListenPort,
    Networks,
    is_loopback,
    lowered,
)

#: Distance between the metrics ports of two API processes; other GoStream programs use the ports in between.
METRICS_STEP = 10
_Switch = Annotated[Literal["on", "off"], BeforeValidator(lowered)]


class ApiConfig(AuthConfig):
    """The variables of the API; see gostream_shared.config for how they are read."""

    database_pool_size: int = Field(10, ge=2, le=1000, description="maximum connections to PostgreSQL")
    l1_bytes: int = Field(
        64 << 20, ge=64 << 10, le=1 << 38, description="memory of the replies that one process keeps (L1)"
    )
    max_concurrent_rpcs: int = Field(
        1000, ge=1, le=1_000_000, description="maximum concurrent unary calls; more are refused"
    )
    shutdown_delay: Duration = Field(
        timedelta(seconds=5),
        ge=timedelta(0),
        le=timedelta(hours=1),
        description="time from NOT_SERVING to the stop, for clients to find another replica",
    )
    shutdown_grace: Duration = Field(
        timedelta(seconds=20),
        ge=timedelta(0),
        le=timedelta(hours=1),
        description="time for running calls to end after SHUTDOWN_DELAY",
    )
    api_host: Host = Field("127.0.0.1", description="interface of the gRPC server", validate_default=True)
    api_port: ListenPort = Field(50051, description="port of the gRPC server; 0 = a free one")
    read_port: ListenPort = Field(
        0, description="port that answers only GetVideo and BatchGetVideos, over gRPC and as JSON; 0 = off"
    )
    read_door_short: _Switch = Field(
        "on", description="answer usual calls on READ_PORT without the HTTP/2 library; off: use it for all"
    )
    admin_host: Host = Field("127.0.0.1", description="interface of ADMIN_PORT", validate_default=True)
    admin_port: ListenPort = Field(
        0, description="port that answers AdminService, for operators with videos:admin; 0 = off"
    )
    metrics_port: ListenPort = Field(9101, description="port of the Prometheus endpoint; 0 = a free one")
    api_processes: int = Field(
        1,
        ge=1,
        le=256,
        description="processes that share the port; their metrics ports are METRICS_PORT, +10, +20, …",
        validate_default=True,
    )
    scheduling: Annotated[Scheduling, BeforeValidator(lowered)] = Field(
        "normal", description="batch: higher throughput per core; normal: lower latency on shared cores"
    )
    source_max_bytes: int = Field(
        SINGLE_PUT_LIMIT, ge=1, le=SINGLE_PUT_LIMIT, description="largest upload accepted"
    )
    source_url_http: bool = Field(False, description="accept http:// in source_url; False: https:// only")
    source_url_allow: Networks = Field(
        "", description="comma-separated private networks that a source_url may lead to; empty = public only"
    )
    source_key_prefixes: KeyPrefixes = Field(
        "", description="comma-separated prefixes of object keys that source_key may name; empty = none"
    )
    upload_url_ttl: Duration = Field(
        timedelta(hours=1),
        ge=timedelta(seconds=1),
        le=PRESIGNED_LIMIT,
        description="validity of an upload URL",
    )
    upload_ttl: Duration = Field(
        timedelta(hours=24),
        ge=timedelta(minutes=1),
        le=timedelta(days=30),
        description="time in which an upload session must be completed",
    )
    upload_part_ttl: Duration = Field(
        timedelta(minutes=15),
        ge=timedelta(seconds=1),
        le=PRESIGNED_LIMIT,
        description="validity of the URL of one part; clients get new ones",
    )
    upload_size_required: bool = Field(
        True, description="CreateVideo requires size_bytes; False: an upload URL accepts any size"
    )
    playback_keys: SecretStr = Field(
        SecretStr(""),
        description="keys that sign playback URLs, as in the file of the edge; empty = no SIGNED videos",
    )
    playback_token_ttl: Duration = Field(
        timedelta(hours=6),
        ge=timedelta(minutes=1),
        le=timedelta(days=7),
        description="shortest validity of a signed playback URL, unless GetPlaybackInfo has a ttl",
    )
    queue_limit: int = Field(
        1000, ge=1, le=10_000_000, description="maximum waiting encodes; more are refused"
    )
    queue_limit_per_owner: int = Field(
        100, ge=1, le=10_000_000, description="maximum waiting encodes of one owner, unless AUTH_MODE=none"
    )
    quota_videos: int = Field(
        10_000, ge=0, le=10**12, description="videos of one owner; 0 = no limit. None if AUTH_MODE=none"
    )
    quota_stored_bytes: int = Field(
        1 << 40, ge=0, le=1 << 60, description="bytes of one owner's sources and encodes; 0 = no limit"
    )
    quota_encodes: int = Field(
        100, ge=0, le=10_000_000, description="waiting and running encodes of one owner; 0 = no limit"
    )
    quota_webhooks: int = Field(20, ge=0, le=1_000_000, description="webhooks of one owner; 0 = no limit")
    webhook_url_http: bool = Field(
        False, description="accept http:// in the URL of a webhook; False: https:// only"
    )
    webhook_url_allow: Networks = Field(
        "", description="comma-separated private networks that a webhook may lead to; empty = public only"
    )
    rate_writes: int = Field(
        20, ge=0, le=1_000_000, description="calls a second of one owner that change something; 0 = no limit"
    )
    rate_creates: int = Field(
        600, ge=0, le=10**9, description="calls of CreateVideo an hour of one owner; 0 = no limit"
    )
    rate_reads: int = Field(
        0,
        ge=0,
        le=10_000_000,
        description="reads by id a second of one owner in one process; 0 = no limit",
    )
    max_watches: int = Field(
        5000,
        ge=1,
        le=1_000_000,
        description="maximum open watches; more are refused",
    )
    watches_per_client: int = Field(
        50,
        ge=1,
        le=1_000_000,
        description="maximum open watches per client address",
    )
    watches_per_principal: int = Field(
        50,
        ge=1,
        le=1_000_000,
        description="maximum open watches per caller with a credential",
    )
    trusted_proxies: str = Field(
        "", description="comma-separated networks of proxies whose x-forwarded-for names the client"
    )
    reflection: Literal["auto", "on", "off"] = Field(
        "auto", description="gRPC reflection; auto: off if AUTH_MODE=none serves more than loopback"
    )

    @field_validator("api_host", "admin_host")
    @classmethod
    def _loopback_without_authentication(cls, host: str, info: ValidationInfo) -> str:
        is_open = info.data.get("auth_mode") == "none" and not info.data.get("auth_allow_insecure")
        if is_open and not is_loopback(host):
            raise ValueError(
                "must be a loopback address while AUTH_MODE=none; set AUTH_MODE, or "
                "AUTH_ALLOW_INSECURE=I-know on a private network"
            )
        return host

    @field_validator("read_port")
    @classmethod
    def _port_of_its_own(cls, port: int, info: ValidationInfo) -> int:
        if port and port == info.data.get("api_port"):
            raise ValueError("must differ from API_PORT")
        return port

    @field_validator("admin_port")
    @classmethod
    def _port_of_operators(cls, port: int, info: ValidationInfo) -> int:
        for name in ("api_port", "read_port"):
            if port and port == info.data.get(name):
                raise ValueError(f"must differ from {name.upper()}")
        return port

    @field_validator("api_processes")
    @classmethod
    def _ports_of_all(cls, processes: int, info: ValidationInfo) -> int:
        first, api = info.data.get("metrics_port"), info.data.get("api_port")
        if first and first + METRICS_STEP * (processes - 1) > 65535:
            raise ValueError("needs metrics ports above 65535; lower METRICS_PORT")
        if first and api in range(first, first + METRICS_STEP * processes, METRICS_STEP):
            raise ValueError("puts the metrics of a process on API_PORT; change METRICS_PORT")
        read = info.data.get("read_port")
        if first and read and read in range(first, first + METRICS_STEP * processes, METRICS_STEP):
            raise ValueError("puts the metrics of a process on READ_PORT; change METRICS_PORT")
        admin = info.data.get("admin_port")
        if first and admin and admin in range(first, first + METRICS_STEP * processes, METRICS_STEP):
            raise ValueError("puts the metrics of a process on ADMIN_PORT; change METRICS_PORT")
        return processes

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, text: str) -> str:
        try:
            networks(text)
        except ValueError:
            raise ValueError("must be comma-separated networks such as 10.0.0.0/8") from None
        return text

    def listeners(self) -> dict[str, str]:
        admin = {"ADMIN_HOST": self.admin_host} if self.admin_port else {}
        return {**super().listeners(), "API_HOST": self.api_host, **admin}

    @property
    def reflects(self) -> bool:
        """True if the server offers reflection. With authentication it requires videos:admin."""
        is_guarded = self.auth_mode != "none" or is_loopback(self.api_host)
        return self.reflection == "on" or (self.reflection == "auto" and is_guarded)
