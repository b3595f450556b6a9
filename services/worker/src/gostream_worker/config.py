"""What the worker needs to know, on top of what both services do."""

import os
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from gostream_shared.config import Config
from gostream_shared.config_types import SINGLE_PUT_LIMIT, Duration, Host, HttpUrl, ListenPort, Secret


class WorkerConfig(Config):
    """The worker's knobs; see gostream_shared.config for how they are read."""

    worker_host: Host = Field("0.0.0.0", description="interface of the health service")  # noqa: S104 - containers
    worker_port: ListenPort = Field(50052, description="port of the health service; 0 = a free one")
    metrics_port: ListenPort = Field(9102, description="port of the Prometheus endpoint; 0 = a free one")
    worker_slots: int = Field(
        1, ge=1, le=256, description="encodes at once; each uses all processors it can get"
    )
    work_dir: Path = Field(
        Path(tempfile.gettempdir()) / "gostream-worker",
        description="where sources and segments lie meanwhile",
    )
    work_dir_reserve: int = Field(
        256 << 20, ge=0, le=1 << 44, description="bytes free in WORK_DIR below which no job is claimed"
    )
    ffmpeg_path: Path | None = Field(
        None, description="the ffmpeg to run; unset = the one shipped in the wheel"
    )
    sandbox: Literal["required", "best-effort"] = Field(
        "best-effort",
        description="required: do not start where the kernel cannot confine ffmpeg (Landlock, seccomp)",
    )
    encoder_memory_bytes: int = Field(
        8 << 30, ge=256 << 20, le=1 << 44, description="address space of one encoder"
    )
    source_max_bytes: int = Field(
        SINGLE_PUT_LIMIT, ge=1, le=SINGLE_PUT_LIMIT, description="largest source accepted"
    )
    source_max_copied_bytes: int = Field(
        200 << 20,
        ge=0,
        le=SINGLE_PUT_LIMIT,
        description="sources above it are read from the object store while they are encoded",
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
        description="most pixels in each second of a source: 8K at 60 frames a second",
    )
    job_lease: Duration = Field(
        timedelta(seconds=6),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        description="silence after which another worker takes a job over",
    )
    upload_patience: Duration = Field(
        timedelta(hours=24),
        ge=timedelta(minutes=1),
        le=timedelta(days=365),
        description="a video still without TriggerProcess so long after its upload URL expired is deleted",
    )
    outage_patience: Duration = Field(
        timedelta(minutes=30),
        ge=timedelta(0),
        le=timedelta(days=7),
        description="how long an outage is waited for before a video fails",
    )
    cdn_refresh_url: HttpUrl | None = Field(
        None, description="the edge as the worker reaches it, to renew its copy of a master; unset = not done"
    )
    cdn_refresh_secret: Secret = Field(SecretStr(""), description="what the edge wants to see for that")

    @field_validator("ffmpeg_path")
    @classmethod
    def _is_program(cls, path: Path | None) -> Path | None:
        if path is not None and not (path.is_file() and os.access(path, os.X_OK)):
            raise ValueError(f"{path} is not a program that can be run")
        return path
