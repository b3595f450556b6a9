"""The composition root of the API. Run it with `gostream-api` or `python -m gostream_api.app`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gostream_api.auth.authenticator import Authenticator
from gostream_api.auth.opening import open_authenticator
from gostream_api.collector import spare_the_collector
from gostream_api.config import ApiConfig
from gostream_api.cpu_scheduling import schedule
from gostream_api.event_stack import open_events
from gostream_api.more_services import admin_door, more_services, quotas_of
from gostream_api.multiprocess import leave_with_parent, supervise
from gostream_api.rates.reads import RatedReads, ReadRate
from gostream_api.rates.writes import WriteRates
from gostream_api.read_door.server import ReadDoor
from gostream_api.read_door.sniffing import ALPN
from gostream_api.read_stack import ReadPath, open_reads
from gostream_api.reads.ports import LocalVideoReader
from gostream_api.rpc.interceptors.auth import (
    AuthInterceptor,
    shows_certificate,
    shows_nothing,
    shows_token,
)
from gostream_api.rpc.interceptors.base import Handler
from gostream_api.rpc.interceptors.clients import ClientOf, client_behind, networks
from gostream_api.rpc.server import BUS_HEALTH, ApiServer
from gostream_api.rpc.servicer import VideoServicer, local_hits, method_handlers
from gostream_api.rpc.validation import SizeRule
from gostream_api.videos.deletion import DeletionService
from gostream_api.videos.ingest import IngestService, SourceRules
from gostream_api.videos.playback import PlaybackService
from gostream_api.videos.playback_tokens import PlaybackKeys
from gostream_api.videos.video_service import Limits, VideoService
from gostream_api.videos.watch import WatchService
from gostream_shared.cache.ports import ChangeAnnouncer
from gostream_shared.concurrency import in_background
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.db.schema import SchemaWatch
from gostream_shared.egress.guard import EgressGuard
from gostream_shared.lifecycle import run_service, run_with, stop_signal
from gostream_shared.observability.metrics import serve_metrics
from gostream_shared.observability.tracing.start import open_tracing
from gostream_shared.storage.gates import Gates
from gostream_shared.storage.open_store import open_store
from gostream_shared.storage.port import ObjectStore
from gostream_shared.tls import ServerTls

NAME = "gostream-api"
SUMMARY = "The gRPC API of GoStream: gostream.v1.VideoService."

#: Seconds between two checks of the bus.
_BUS_LOOK = 0.25


@asynccontextmanager
async def open_server(config: ApiConfig) -> AsyncIterator[ApiServer]:
    """Open all resources and build the server.

    Only the database must be up. Raises BackendUnavailableError if it is down, and BackendRefusedError if a
    backend rejects this service as configured.
    """
    tls, client_of = ServerTls.of(config), client_behind(networks(config.trusted_proxies))
    async with (
        open_authenticator(config) as authenticator,
        open_reads(config) as reads,
        open_store(config) as store,
        _open_rates(config) as rates,
        open_events(config, reads.database, reads.database.events, client_of) as events,
    ):
        watches = WatchService(database=reads.database, events=reads.cache.events)
        readers = _rated(config, reads.videos)
        auth, credentials = _auth(config, authenticator), tls.credentials() if tls else None
        server = ApiServer(
            _videos(config, reads, store, watches, readers, client_of),
            watches,
            events.watches,
            max_calls=config.max_concurrent_rpcs,
            max_streams=config.max_watches,
            max_streams_per_client=config.watches_per_client,
            max_streams_per_principal=config.watches_per_principal,
            rates=rates,
            client_of=client_of,
            reflects=config.reflects,
            auth=auth,
            local_hits=local_hits(readers),
            share_port=config.api_processes > 1,
            credentials=credentials,
            more={**more_services(config, reads, store, client_of), **events.services},
        )
        if config.read_port:
            server.doors.append(_read_door(config, readers, server, authenticator, tls))
        if config.admin_port:
            server.doors.append(
                admin_door(config, reads, store, client_of, auth=auth, credentials=credentials)
            )
        async with _reporting(server, reads):
            yield server


@asynccontextmanager
async def _reporting(server: ApiServer, reads: ReadPath) -> AsyncIterator[None]:
    """Report the health of the server until the block ends."""
    schema = SchemaWatch(reads.database.missing_migrations)
    await server.set_ready(is_ready=await schema.is_current())
    async with in_background(
        _report_bus(server, lambda: reads.videos.is_live), _report_schema(server, schema)
    ):
        yield


def _videos(
    config: ApiConfig,
    reads: ReadPath,
    store: ObjectStore,
    watches: WatchService,
    readers: LocalVideoReader,
    client_of: ClientOf,
) -> dict[str, Handler]:
    """Returns the handlers of VideoService."""
    videos = VideoService(
        database=reads.database, store=store, announcer=reads.cache.announcer, limits=_limits(config)
    )
    servicer = VideoServicer(
        videos=videos,
        deletions=_deletions(config, reads, store),
        ingest=_ingest(config, reads.database, store, reads.cache.announcer),
        reads=readers,
        watches=watches,
        playback=_playback(config, reads.database),
        cdn_base_url=config.cdn_base_url,
        sizes=SizeRule(most=config.source_max_bytes, required=config.upload_size_required),
        client_of=client_of,
    )
    return method_handlers(servicer)


def _limits(config: ApiConfig) -> Limits:
    return Limits(
        source_max_bytes=config.source_max_bytes,
        upload_url_ttl=config.upload_url_ttl,
        queue_limit=config.queue_limit,
        quotas=quotas_of(config),
    )


def _deletions(config: ApiConfig, reads: ReadPath, store: ObjectStore) -> DeletionService:
    return DeletionService(
        database=reads.database,
        gates=Gates(reads.database.gates, store),
        announcer=reads.cache.announcer,
        limits=_limits(config),
        retention=config.delete_retention,
    )


def _ingest(
    config: ApiConfig, database: PostgresDatabase, store: ObjectStore, announcer: ChangeAnnouncer
) -> IngestService:
    guard = EgressGuard.of(config.source_url_allow, allows_http=config.source_url_http)
    rules = SourceRules.of(guard, config.source_key_prefixes)
    return IngestService(
        database=database, store=store, announcer=announcer, limits=_limits(config), rules=rules
    )


@asynccontextmanager
async def _open_rates(config: ApiConfig) -> AsyncIterator[WriteRates | None]:
    """Without authentication no one proves who the owner is, so nothing is counted."""
    if config.auth_mode == "none" or not (config.rate_writes or config.rate_creates):
        yield None
        return
    async with WriteRates.open(config, writes=config.rate_writes, creates=config.rate_creates) as rates:
        yield rates


def _rated(config: ApiConfig, reads: LocalVideoReader) -> LocalVideoReader:
    if config.auth_mode == "none" or not config.rate_reads:
        return reads
    return RatedReads(reads, ReadRate(config.rate_reads))


def _playback(config: ApiConfig, database: PostgresDatabase) -> PlaybackService:
    """Raises MisconfiguredError."""
    return PlaybackService(
        database,
        cdn_base_url=config.cdn_base_url,
        keys=PlaybackKeys.parse(config.playback_keys.get_secret_value()),
        token_ttl=config.playback_token_ttl,
    )


def _auth(config: ApiConfig, authenticator: Authenticator) -> AuthInterceptor:
    kinds = {"none": shows_nothing, "jwt": shows_token}
    return AuthInterceptor(authenticator, kinds.get(config.auth_mode, shows_certificate))


def _read_door(
    config: ApiConfig,
    reads: LocalVideoReader,
    server: ApiServer,
    authenticator: Authenticator,
    tls: ServerTls | None,
) -> ReadDoor:
    return ReadDoor(
        reads,
        server.limiter,
        authenticator=authenticator,
        host=config.api_host,
        port=config.read_port,
        full_port=config.api_port,
        share_port=config.api_processes > 1,
        is_short=config.read_door_short == "on",
        tls=tls.context(ALPN) if tls else None,
    )


async def _report_bus(server: ApiServer, is_live: Callable[[], bool]) -> None:
    reported: bool | None = None
    while True:
        if is_live() is not reported:
            reported = is_live()
            await server.health.report(BUS_HEALTH, is_serving=reported)
        await asyncio.sleep(_BUS_LOOK)


async def _report_schema(server: ApiServer, schema: SchemaWatch) -> None:
    """Report SERVING while the schema is current."""
    while True:
        if server.is_ready:
            await schema.until_outdated()
            await server.set_ready(is_ready=False)
        await schema.until_current()
        await server.set_ready(is_ready=True)


async def serve(config: ApiConfig) -> None:
    """Serve until SIGTERM or SIGINT, then stop gracefully. Several processes run in child processes."""
    if config.api_processes > 1:
        await supervise(config, _serve_in_child)
    else:
        await _serve_here(config)


def _serve_in_child(config: ApiConfig) -> None:
    run_with(NAME, config, _serve_here)


async def _serve_here(config: ApiConfig) -> None:
    schedule(config.scheduling)  # before gRPC starts a thread
    async with stop_signal() as stop, open_tracing(config, NAME), open_server(config) as server:
        leave_with_parent(stop)
        tls = ServerTls.of(config)
        async with serve_metrics(
            config.metrics_host, config.metrics_port, tls=tls.context() if tls else None
        ):
            await server.start(config.api_host, config.api_port)
            spare_the_collector()
            await stop.wait()
            await server.stop(delay=config.shutdown_delay, grace=config.shutdown_grace)


def main() -> None:
    run_service(NAME, SUMMARY, ApiConfig, serve)


if __name__ == "__main__":
    main()
