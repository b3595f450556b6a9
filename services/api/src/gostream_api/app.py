"""The composition root: what the API is made of. Run it: `gostream-api` or `python -m gostream_api.app`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

from gostream_api.config import ApiConfig
from gostream_api.convert import encode_video
from gostream_api.server import ApiServer
from gostream_api.servicer import VideoServicer, method_handlers
from gostream_api.video_service import Limits, VideoService
from gostream_api.watch import WatchService
from gostream_shared.cache.ports import Update
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.lifecycle import run_service, stop_signal
from gostream_shared.observability.metrics import serve_metrics
from gostream_shared.s3 import S3ObjectStore


class _NullAnnouncer:
    async def announce(self, video_id: UUID, version: int) -> None:
        pass


class _NullSubscription:
    async def wait(self, timeout: float) -> Update:
        await asyncio.sleep(timeout)
        return Update(gap=True)


class _NullEvents:
    @asynccontextmanager
    async def subscribe(self, video_id: UUID) -> AsyncIterator[_NullSubscription]:
        yield _NullSubscription()


SUMMARY = "The gRPC API of GoStream: gostream.v1.VideoService."


@asynccontextmanager
async def open_server(config: ApiConfig) -> AsyncIterator[ApiServer]:
    """Open every resource and put the service together. Raises BackendUnavailableError."""
    async with (
        PostgresDatabase.open(
            config.database_url.get_secret_value(), max_size=config.database_pool_size
        ) as database,
        S3ObjectStore.open(config) as store,
    ):
        videos = VideoService(
            database=database,
            store=store,
            announcer=_NullAnnouncer(),
            encode=partial(encode_video, cdn_base_url=config.cdn_base_url),
            limits=Limits(
                source_max_bytes=config.source_max_bytes,
                upload_url_ttl=config.upload_url_ttl,
                queue_limit=config.queue_limit,
            ),
        )
        watches = WatchService(database=database, events=_NullEvents())
        servicer = VideoServicer(
            videos=videos,
            reads=videos,
            watches=watches,
            cdn_base_url=config.cdn_base_url,
            source_max_bytes=config.source_max_bytes,
        )
        yield ApiServer(
            method_handlers(servicer),
            watches,
            max_calls=config.max_concurrent_rpcs,
            max_streams=config.max_watches,
        )


async def serve(config: ApiConfig) -> None:
    """Serve until SIGTERM or SIGINT, then stop gracefully."""
    with serve_metrics(config.metrics_host, config.metrics_port):
        async with stop_signal() as stop, open_server(config) as server:
            await server.start(config.api_host, config.api_port)
            await stop.wait()
            await server.stop(delay=config.shutdown_delay, grace=config.shutdown_grace)


def main() -> None:
    run_service("gostream-api", SUMMARY, ApiConfig, serve)


if __name__ == "__main__":
    main()
