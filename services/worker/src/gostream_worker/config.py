"""Configuration of the worker, in addition to the shared configuration."""

import os
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from gostream_shared.config import Config
from gostream_shared.config_types import (
    SINGLE_PUT_LIMIT,
    Duration,
    Host,
    HttpUrl,
    ListenPort,
    Networks,
    Secret,
)


class WorkerConfig(Config):
    """Configuration of the worker. gostream_shared.config describes how it is read."""

    worker_host: Host = Field("127.0.0.1", description="interface of the health service")
    worker_port: ListenPort = Field(50052, description="port of the health service; 0 = a free one")
    metrics_port: ListenPort = Field(9102, description="port of the Prometheus endpoint; 0 = a free one")
    worker_slots: int | None = Field(
        None,
        ge=0,
        le=256,
        description="concurrent encodes of chunks or of short films; unset = one per processor, 0 = none",
    )
    chunk_window: int = Field(
        8,
        ge=0,
        le=1000,
        description="chunks of one film that wait for a worker at once; 0 = one worker encodes each film",
    )
    previews: bool = Field(True, description="make a preview, an animated picture, of each film")
    work_dir: Path = Field(
        Path(tempfile.gettempdir()) / "gostream-worker",
        description="scratch directory for sources and segments",
    )
    work_dir_reserve: int = Field(
        256 << 20, ge=0, le=1 << 44, description="free bytes in WORK_DIR below which no job is claimed"
    )
    ffmpeg_path: Path | None = Field(
        None, description="path of the ffmpeg program; unset = the ffmpeg in the wheel"
    )
    sandbox: Literal["required", "best-effort"] = Field(
        "best-effort",
        description="required: do not start if the kernel cannot confine ffmpeg (Landlock, seccomp)",
    )
    encoder_memory_bytes: int = Field(
        8 << 30, ge=256 << 20, le=1 << 44, description="address space limit of one encoder"
    )
    source_max_bytes: int = Field(
        SINGLE_PUT_LIMIT, ge=1, le=SINGLE_PUT_LIMIT, description="largest source accepted"
    )
    source_url_http: bool = Field(False, description="accept http:// in source_url; False: https:// only")
    source_url_allow: Networks = Field(
        "", description="comma-separated private networks that a source_url may lead to; empty = public only"
    )
    webhook_slots: int = Field(
        64, ge=0, le=1024, description="concurrent deliveries to webhooks; 0 = none, without egress"
    )
    webhook_url_http: bool = Field(
        False, description="accept http:// in the URL of a webhook; False: https:// only"
    )
    webhook_url_allow: Networks = Field(
        "", description="comma-separated private networks that a webhook may lead to; empty = public only"
    )
    source_fetch_slots: int = Field(
        2, ge=0, le=64, description="concurrent fetches of a source_url, 30 MiB of memory each; 0 = none"
    )
    source_fetch_timeout: Duration = Field(
        timedelta(hours=2),
        ge=timedelta(seconds=1),
        le=timedelta(hours=24),
        description="longest time to fetch one source_url",
    )
    source_max_copied_bytes: int = Field(
        200 << 20,
        ge=0,
        le=SINGLE_PUT_LIMIT,
        description="larger sources are read from the object store during the encode",
    )
    source_max_duration: Duration = Field(
        timedelta(hours=12),
        ge=timedelta(seconds=1),
        le=timedelta(days=7),
        description="longest source accepted",
    )
    source_max_pixel_rate: int = Field(
        2_000_000_000,
        ge=1_000_000,
        le=1 << 40,
        description="highest pixels per second of a source: 8K at 60 frames per second",
    )
    job_lease: Duration = Field(
        timedelta(seconds=6),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        description="time without a heartbeat after which another worker takes a job over",
    )
    upload_patience: Duration = Field(
        timedelta(hours=24),
        ge=timedelta(minutes=1),
        le=timedelta(days=365),
        description="time after upload URL expiry at which a video without TriggerProcess is deleted",
    )
    upload_ttl: Duration = Field(
        timedelta(hours=24),
        ge=timedelta(minutes=1),
        le=timedelta(days=30),
        description="as for the API: multipart uploads without a session are removed at twice this age",
    )
    event_retention: Duration = Field(
        timedelta(days=30),
        ge=timedelta(hours=1),
        le=timedelta(days=3650),
        description="age at which events are deleted; resume tokens of before expire",
    )
    trail_retention: Duration = Field(
        timedelta(days=400),
        ge=timedelta(days=1),
        le=timedelta(days=3650),
        description="age at which entries of the trail of writes are deleted",
    )
    outage_patience: Duration = Field(
        timedelta(minutes=30),
        ge=timedelta(0),
        le=timedelta(days=7),
        description="longest outage to wait for before a video fails",
    )
    cdn_refresh_url: HttpUrl | None = Field(
        None, description="URL of the edges (each address of its host) to refresh master.m3u8; unset = none"
    )
    cdn_refresh_secret: Secret = Field(SecretStr(""), description="shared secret sent in X-Cache-Refresh")

    @field_validator("ffmpeg_path")
    @classmethod
    def _is_program(cls, path: Path | None) -> Path | None:
        if path is not None and not (path.is_file() and os.access(path, os.X_OK)):
            raise ValueError(f"{path} is not an executable file")
        return path

    @property
    def slots(self) -> int:
        """Concurrent encodes: by default as many as processors that this process may use."""
        if self.worker_slots is not None:
            return self.worker_slots
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def listeners(self) -> dict[str, str]:
        return {**super().listeners(), "WORKER_HOST": self.worker_host}
