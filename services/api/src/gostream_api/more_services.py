"""Composes the services of uploads and tracks, that of operators, and the quotas of all."""

import grpc

from gostream_api.admin.explain import ExplainService
from gostream_api.admin.gathering import Gatherer
from gostream_api.config import ApiConfig
from gostream_api.read_stack import ReadPath
from gostream_api.rpc.admin.door import AdminDoor
from gostream_api.rpc.admin.servicer import ADMIN_SERVICE, AdminServicer, admin_handlers
from gostream_api.rpc.interceptors.auth import AuthInterceptor
from gostream_api.rpc.interceptors.base import Handler
from gostream_api.rpc.interceptors.clients import ClientOf
from gostream_api.rpc.tracks.servicer import TRACKS, TrackServicer, track_handlers
from gostream_api.rpc.uploads.servicer import UPLOADS, UploadServicer, upload_handlers
from gostream_api.tracks.track_service import TrackLimits, TrackService
from gostream_api.uploads.upload_service import SessionLimits, UploadService
from gostream_api.videos.quotas import Quotas
from gostream_shared.domain.repositories import Database
from gostream_shared.egress.guard import EgressGuard
from gostream_shared.storage.port import ObjectStore


def more_services(
    config: ApiConfig, reads: ReadPath, store: ObjectStore, client_of: ClientOf
) -> dict[str, dict[str, Handler]]:
    """Returns the services besides VideoService, by name."""
    return {
        UPLOADS: upload_handlers(_uploads(config, reads, store, client_of)),
        TRACKS: track_handlers(_tracks(config, reads.database, store, client_of)),
    }


def _uploads(config: ApiConfig, reads: ReadPath, store: ObjectStore, client_of: ClientOf) -> UploadServicer:
    limits = SessionLimits(
        source_max_bytes=config.source_max_bytes,
        session_ttl=config.upload_ttl,
        part_ttl=config.upload_part_ttl,
        queue_limit=config.queue_limit,
        quotas=quotas_of(config),
    )
    uploads = UploadService(
        database=reads.database, store=store, announcer=reads.cache.announcer, limits=limits
    )
    return UploadServicer(uploads, config.cdn_base_url, client_of)


def _tracks(config: ApiConfig, database: Database, store: ObjectStore, client_of: ClientOf) -> TrackServicer:
    guard = EgressGuard.of(config.source_url_allow, allows_http=config.source_url_http)
    limits = TrackLimits(upload_url_ttl=config.upload_url_ttl, quotas=quotas_of(config))
    tracks = TrackService(database=database, store=store, guard=guard, limits=limits)
    return TrackServicer(tracks, config.cdn_base_url, client_of)


def admin_door(
    config: ApiConfig,
    reads: ReadPath,
    store: ObjectStore,
    client_of: ClientOf,
    *,
    auth: AuthInterceptor,
    credentials: grpc.ServerCredentials | None,
) -> AdminDoor:
    """Returns the listener of ADMIN_PORT."""
    gatherer = Gatherer(
        reads.database,
        store,
        reads.videos,
        is_live=lambda: reads.videos.is_live,
        cdn_base_url=config.cdn_base_url,
    )
    return AdminDoor(
        {ADMIN_SERVICE: admin_handlers(AdminServicer(ExplainService(gatherer)))},
        host=config.admin_host,
        port=config.admin_port,
        auth=auth,
        client_of=client_of,
        credentials=credentials,
        reflects=config.reflects,
        share_port=config.api_processes > 1,
    )


def quotas_of(config: ApiConfig) -> Quotas:
    """Without authentication no one proves who the owner is, so there are none."""
    if config.auth_mode == "none":
        return Quotas()
    return Quotas(
        videos=config.quota_videos,
        stored_bytes=config.quota_stored_bytes,
        encodes=config.quota_encodes,
        waiting_encodes=config.queue_limit_per_owner,
    )
