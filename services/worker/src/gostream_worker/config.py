"""What the worker needs to know, on top of what both services do."""

import tempfile
from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr

from gostream_shared.config import Config, Duration, HttpUrl, Port


class WorkerConfig(Config):
    """The worker's knobs; see gostream_shared.config for how they are read."""

    worker_host: str = Field("0.0.0.0", description="interface of the health service")  # noqa: S104 - containers
    worker_port: Port = Field(50052, description="port of the health service; 0 = a free one")
    metrics_port: Port = Field(9102, description="port of the Prometheus endpoint; 0 = a free one")
    worker_slots: int = Field(1, ge=1, description="encodes at once; each uses all processors it can get")
    work_dir: Path = Field(
        Path(tempfile.gettempdir()) / "gostream-worker",
        description="where sources and segments lie meanwhile",
    )
    ffmpeg_path: Path | None = Field(
        None, description="the ffmpeg to run; unset = the one shipped in the wheel"
    )
    encoder_memory_bytes: int = Field(8 << 30, gt=0, description="address space of one encoder")
    source_max_bytes: int = Field(5 << 30, gt=0, description="largest source accepted")
    source_max_copied_bytes: int = Field(
        200 << 20, ge=0, description="sources above it are read from the object store while they are encoded"
    )
    source_max_duration: Duration = Field(timedelta(hours=12), description="longest source accepted")
    job_lease: Duration = Field(
        timedelta(seconds=6), description="silence after which another worker takes a job over"
    )
    upload_patience: Duration = Field(
        timedelta(hours=24),
        description="a video still without TriggerProcess so long after its upload URL expired is deleted",
    )
    outage_patience: Duration = Field(
        timedelta(minutes=30), description="how long an outage is waited for before a video fails"
    )
    cdn_refresh_url: HttpUrl | None = Field(
        None, description="the edge as the worker reaches it, to renew its copy of a master; unset = not done"
    )
    cdn_refresh_secret: SecretStr = Field(SecretStr(""), description="what the edge wants to see for that")
