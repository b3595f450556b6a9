"""The composition root of the worker. Run it with `gostream-worker`."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import structlog

from gostream_shared.cache.compose import Cache, open_cache
from gostream_shared.cache.start import check_redis
from gostream_shared.concurrency import in_background, task_group, wait_at_most
from gostream_shared.db.connecting.address import DatabaseAddress
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.db.schema import LOOK_INTERVAL, SchemaWatch
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.egress.guard import EgressGuard
from gostream_shared.grpc_health import Health
from gostream_shared.jobs.pgqueuer import (
    DOWNLOAD,
    EXPIRE,
    EXPIRE_UPLOAD,
    FETCH,
    REMOVE,
    expire_job,
    expire_upload_job,
    fetch_job,
    remove_job,
)
from gostream_shared.lifecycle import run_service, stop_signal
from gostream_shared.observability.metrics import serve_metrics
from gostream_shared.observability.tracing.start import open_tracing
from gostream_shared.storage.facts import require_fence
from gostream_shared.storage.gates import Gates
from gostream_shared.storage.open_store import open_store
from gostream_shared.storage.port import ObjectStore
from gostream_shared.tls import ServerTls
from gostream_worker.captions.kinds import track_kinds
from gostream_worker.chunks.dependencies import Dependencies
from gostream_worker.config import WorkerConfig
from gostream_worker.downloads.jobs import download_kind
from gostream_worker.health import ROOM_HEALTH, health_server
from gostream_worker.housekeeping.background import housekeeping
from gostream_worker.ingest.fetch_service import FetchService, FetchSettings
from gostream_worker.jobs.abandoned_uploads import Abandoned
from gostream_worker.jobs.attempts import FETCHES, Attempts
from gostream_worker.jobs.cleanup import Removal
from gostream_worker.jobs.consumer import Consumer, JobKind, reading
from gostream_worker.jobs.disk_space import DiskSpace
from gostream_worker.jobs.expiry import Expiry
from gostream_worker.jobs.gate_keeper import GateKeeper
from gostream_worker.jobs.upload_expiry import UploadExpiry
from gostream_worker.kinds.encoding import encoder_of, encoding_jobs
from gostream_worker.probe.forking.kept import ProbeServer
from gostream_worker.publish.cdn import Edge, HttpEdge, NoEdge
from gostream_worker.publish.early_playback import end_lists
from gostream_worker.retry import backoff
from gostream_worker.sandbox.support import prepare_sandbox
from gostream_worker.source.work_directory import WorkDirectory
from gostream_worker.webhooks.opening import open_webhooks


class Work:
    """Consumes jobs once the database schema is the version that this release needs."""

    def __init__(self, consumer: Consumer, schema: SchemaWatch, health: Health) -> None:
        self._consumer = consumer
        self._schema = schema
        self._health = health
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Consumes jobs until `stop` is called, then settles or releases the jobs in progress."""
        while not await self._schema.is_current():
            await wait_at_most(self._stopping, LOOK_INTERVAL)
            if self._stopping.is_set():
                return
        await self._health.report(is_serving=True)
        await self._consumer.run()

    def stop(self) -> None:
        self._stopping.set()
        self._consumer.stop()


SUMMARY = "The worker of GoStream: turns uploads into adaptive HLS."
#: Videos whose objects are removed at the same time.
_REMOVALS = 2
#: Key prefix for the store's self-test, and seconds between tries while the store does not answer.
_TRIED_AT = "hls/"
_STORE_PAUSE = 15.0
_log = structlog.stdlib.get_logger("gostream.worker")


def _fetching(config: WorkerConfig, database: PostgresDatabase, store: ObjectStore, cache: Cache) -> JobKind:
    guard = EgressGuard.of(config.source_url_allow, allows_http=config.source_url_http)
    settings = FetchSettings(max_bytes=config.source_max_bytes, timeout=config.source_fetch_timeout)
    service = FetchService(database, store, cache.progress, guard, settings)
    attempts = Attempts(
        database,
        service.run,
        cache.announcer,
        partial(end_lists, store),
        worker=_worker_name(),
        outage_patience=config.outage_patience,
        begin=service.begin,
        kind=FETCHES,
    )
    return JobKind(reading(fetch_job, attempts.transcode), slots=config.source_fetch_slots)


def _worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _disk_space(config: WorkerConfig, health: Health) -> DiskSpace:
    return DiskSpace(
        config.work_dir,
        reserve=config.work_dir_reserve,
        changed=lambda is_free: health.report(ROOM_HEALTH, is_serving=is_free),
    )


@asynccontextmanager
async def open_consumer(config: WorkerConfig, health: Health) -> AsyncIterator["Work"]:
    """Opens every resource and assembles the worker.

    Raises BackendUnavailableError, BackendRefusedError, and MisconfiguredError if WORK_DIR is unusable.
    """
    await check_redis(config)
    with WorkDirectory.open(config.work_dir) as work:
        async with (
            PostgresDatabase.open(
                DatabaseAddress.of(config),
                max_size=connections(config.slots + config.source_fetch_slots),
            ) as database,
            open_store(config) as store,
            open_cache(config, outbox=database.outbox, subscribe=False) as cache,
            _open_edge(config) as edge,
            ProbeServer.kept(sandbox_required=config.sandbox == "required") as probe,
            open_webhooks(config, database.deliveries) as webhooks,
        ):
            disk_space = _disk_space(config, health)
            dependencies = Dependencies(
                database=database,
                store=store,
                announcer=cache.announcer,
                publisher=cache.progress,
                edge=edge,
            )
            abandoned = Abandoned(database, cache.announcer, patience=config.upload_patience)
            expiry = Expiry(database, cache.announcer, retention=config.delete_retention)
            gates = GateKeeper(database.gates, Gates(database.gates, store))
            chores = (abandoned, expiry, gates, webhooks)
            kinds = {
                **await encoding_jobs(
                    config, dependencies, work, probe.take, disk_space, worker=_worker_name()
                ),
                FETCH: _fetching(config, database, store, cache),
                DOWNLOAD: download_kind(dependencies, encoder_of(config), work, disk_space),
                **track_kinds(config, database, store, cache.announcer, edge, work),
                **_removals(database, store, expiry),
            }
            consumer = Consumer(database.pool, kinds, listener=database.listener(), lease=config.job_lease)
            async with (
                in_background(disk_space.run(), *_housekeeping(config, database, store)),
                task_group() as tasks,
            ):
                for chore in chores:
                    tasks.create_task(chore.run())
                tasks.create_task(_require_fence(store))
                yield Work(consumer, SchemaWatch(database.missing_migrations), health)
                for chore in chores:
                    chore.stop()


def _housekeeping(
    config: WorkerConfig, database: PostgresDatabase, store: ObjectStore
) -> list[Coroutine[Any, Any, None]]:
    return housekeeping(config, database, database.pool, database.events, database.deliveries, store)


def _removals(database: PostgresDatabase, store: ObjectStore, expiry: Expiry) -> dict[str, JobKind]:
    """Returns the kinds of jobs that remove videos, objects and uploads."""
    removal, uploads = Removal(database, store), UploadExpiry(database, store)
    return {
        REMOVE: JobKind(reading(remove_job, removal.remove), slots=_REMOVALS),
        EXPIRE: JobKind(reading(expire_job, expiry.expire), slots=1),
        EXPIRE_UPLOAD: JobKind(reading(expire_upload_job, uploads.expire), slots=_REMOVALS),
    }


async def _require_fence(store: ObjectStore) -> None:
    """Raises StoreUnfitError, which ends the worker, once the store has answered and lacks a fence."""
    while True:
        try:
            return await require_fence(store, _TRIED_AT)
        except BackendUnavailableError as error:
            _log.warning("object store not checked yet", error=str(error))
            await asyncio.sleep(backoff(_STORE_PAUSE))


@asynccontextmanager
async def _open_edge(config: WorkerConfig) -> AsyncIterator[Edge]:
    if config.cdn_refresh_url is None:
        yield NoEdge()
        return
    async with aiohttp.ClientSession() as session:
        yield HttpEdge(session, config.cdn_refresh_url, config.cdn_refresh_secret.get_secret_value())


def connections(slots: int) -> int:
    """Returns the size of the connection pool.

    Leases must be renewed even while all slots publish and report at once, or other workers take the jobs
    over.
    """
    return 8 + 2 * slots


async def serve(config: WorkerConfig) -> None:
    """Runs the worker until SIGTERM or SIGINT, then releases the jobs in progress."""
    prepare_sandbox(required=config.sandbox == "required")
    tls = ServerTls.of(config)
    async with (
        open_tracing(config, "gostream-worker"),
        serve_metrics(config.metrics_host, config.metrics_port, tls=tls.context() if tls else None),
        stop_signal() as stop,
        health_server(config.worker_host, config.worker_port, tls.credentials() if tls else None) as health,
        open_consumer(config, health) as work,
        task_group() as tasks,
    ):
        tasks.create_task(work.run())
        await stop.wait()
        _log.info("stopping")
        await health.drain()
        work.stop()


def main() -> None:
    run_service("gostream-worker", SUMMARY, WorkerConfig, serve)


if __name__ == "__main__":
    main()
