"""The composition root: what the worker is made of. Run it: `gostream-worker`."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import structlog
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_shared.cache.open import open_cache
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.lifecycle import run_service, stop_signal
from gostream_shared.observability.metrics import serve_metrics
from gostream_shared.s3 import S3ObjectStore
from gostream_worker.admission import SourceLimits
from gostream_worker.attempts import Attempts
from gostream_worker.concurrency import task_group
from gostream_worker.config import WorkerConfig
from gostream_worker.consumer import Consumer
from gostream_worker.early import end_lists
from gostream_worker.edge import Edge, HttpEdge, NoEdge
from gostream_worker.ffmpeg.encoder import Encoder
from gostream_worker.ffmpeg.probe_at_hand import ProbeAtHand
from gostream_worker.health import HealthServer
from gostream_worker.ladder import PROFILES
from gostream_worker.removal import Removal
from gostream_worker.transcode_service import Outside, Settings, TranscodeService
from gostream_worker.workdir import WorkDirectory

SUMMARY = "The worker of GoStream: turns uploads into adaptive HLS."
_log = structlog.stdlib.get_logger("gostream.worker")


@asynccontextmanager
async def open_consumer(config: WorkerConfig) -> AsyncIterator[Consumer]:
    """Open every resource and put the worker together. Raises BackendUnavailableError."""
    with WorkDirectory.open(config.work_dir) as work:
        async with (
            PostgresDatabase.open(
                config.database_url.get_secret_value(), max_size=connections(config.worker_slots)
            ) as database,
            S3ObjectStore.open(config) as store,
            open_cache(config, outbox=database.outbox, subscribe=False) as cache,
            _open_edge(config) as edge,
            ProbeAtHand.kept() as probe,
        ):
            outside = Outside(
                database=database,
                store=store,
                announcer=cache.announcer,
                publisher=cache.progress,
                edge=edge,
            )
            ffmpeg = config.ffmpeg_path or Path(get_ffmpeg_exe())
            service = TranscodeService(
                outside,
                Encoder(ffmpeg, memory=config.encoder_memory_bytes),
                work,
                _settings(config),
                start_probe=probe.take,
            )
            attempts = Attempts(
                database,
                service.run,
                cache.announcer,
                partial(end_lists, store),
                worker=f"{socket.gethostname()}:{os.getpid()}",
                outage_patience=config.outage_patience,
            )
            yield Consumer(
                database.pool,
                transcode=attempts.transcode,
                remove=Removal(database.videos, store).remove,
                slots=config.worker_slots,
                lease=config.job_lease,
            )


@asynccontextmanager
async def _open_edge(config: WorkerConfig) -> AsyncIterator[Edge]:
    if config.cdn_refresh_url is None:
        yield NoEdge()
        return
    async with aiohttp.ClientSession() as session:
        yield HttpEdge(session, config.cdn_refresh_url, config.cdn_refresh_secret.get_secret_value())


def connections(slots: int) -> int:
    """Leases are renewed while all slots publish and report at once; else others would take the jobs over."""
    return 8 + 2 * slots


def _settings(config: WorkerConfig) -> Settings:
    limits = SourceLimits(
        max_bytes=config.source_max_bytes, max_duration=config.source_max_duration.total_seconds()
    )
    return Settings(profiles=PROFILES, limits=limits, max_copied_bytes=config.source_max_copied_bytes)


async def serve(config: WorkerConfig) -> None:
    """Work until SIGTERM or SIGINT, then give back what is at work."""
    async with (
        serve_metrics(config.metrics_host, config.metrics_port),
        stop_signal() as stop,
        open_consumer(config) as consumer,
        HealthServer.listening(config.worker_host, config.worker_port) as health,
        task_group() as tasks,
    ):
        tasks.create_task(consumer.run())
        await stop.wait()
        _log.info("stopping")
        await health.drain()
        consumer.stop()


def main() -> None:
    run_service("gostream-worker", SUMMARY, WorkerConfig, serve)


if __name__ == "__main__":
    main()
