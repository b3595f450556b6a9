"""A real API server on a free port with real backends, and its errors as clients see them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import monotonic
from typing import Any

import aiohttp
import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import aio

from gostream.v1.video_service_pb2 import CreateVideoRequest, CreateVideoResponse, GetVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_api.app import open_server
from gostream_api.config import ApiConfig
from gostream_api.rpc.server import ApiServer
from gostream_devstack.fixtures import RedisSettings
from gostream_devstack.servers.seaweedfs import SeaweedFS
from gostream_shared.config import load
from gostream_shared.db.database import PostgresDatabase

CDN = "http://cdn.test:8081"


@dataclass(frozen=True, slots=True)
class Api:
    """One API under test."""

    server: ApiServer
    port: int
    channel: aio.Channel
    stub: Any  # VideoServiceStub; its asynchronous type exists for the type checker only

    async def create(self, **fields: Any) -> CreateVideoResponse:
        """A new video."""
        plain: dict[str, Any] = {"title": "Holiday", "size_bytes": 4}
        request = CreateVideoRequest(**(plain | fields))
        created: CreateVideoResponse = await self.stub.CreateVideo(request)
        return created

    async def upload(self, created: CreateVideoResponse, body: bytes = b"film") -> int:
        """Uploads as the response asks and returns the store's HTTP status."""
        request = created.upload
        headers = dict(request.headers)
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, request.url, headers=headers, data=body) as answer,
        ):
            return answer.status

    async def layer(self, video_id: str, **options: Any) -> str:
        """The cache layer of GetVideo's response."""
        call = self.stub.GetVideo(GetVideoRequest(id=video_id), **options)
        await call
        return str(dict(await call.trailing_metadata())["x-cache"])

    async def warm(self) -> None:
        """Waits until the caches are live: a replica that has just started bypasses them."""
        video_id = (await self.create()).video.id
        async with asyncio.timeout(300):
            while await self.layer(video_id) != "L1":
                await asyncio.sleep(0.02)

    async def uploaded(self) -> str:
        """Creates a video with an uploaded source and returns its id."""
        created = await self.create()
        assert await self.upload(created) == 200
        return created.video.id


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as a client sees it. `details` holds the messages by type name, except ErrorInfo."""

    code: grpc.StatusCode
    message: str
    info: error_details_pb2.ErrorInfo
    details: dict[str, Any]
    trailers: dict[str, Any]

    @property
    def reason(self) -> str:
        return str(self.info.reason)

    @property
    def fields(self) -> set[str]:
        """The fields of the BadRequest detail."""
        return {violation.field for violation in self.details["BadRequest"].field_violations}


@pytest.fixture
def environment(
    database_settings: Mapping[str, str], redis_settings: RedisSettings, object_store_server: SeaweedFS
) -> dict[str, str]:
    """The API's environment variables."""
    return {
        **database_settings,
        "REDIS_HOST": redis_settings.host,
        "REDIS_PORT": str(redis_settings.port),
        "REDIS_PASSWORD": redis_settings.password,
        "REDIS_DB": str(redis_settings.db),
        "S3_ENDPOINT_URL": object_store_server.endpoint_url,
        "S3_BUCKET": object_store_server.bucket,
        "S3_ACCESS_KEY": object_store_server.access_key,
        "S3_SECRET_KEY": object_store_server.secret_key,
        "CDN_BASE_URL": CDN,
        "API_HOST": "127.0.0.1",
        "METRICS_HOST": "127.0.0.1",
        "SHUTDOWN_DELAY": "0s",
        "SHUTDOWN_GRACE": "5s",
    }


@pytest.fixture
async def start_api(environment: dict[str, str]) -> AsyncIterator[Callable[..., Awaitable[Api]]]:
    """A function that starts an API in this process; keywords are environment variables."""
    async with AsyncExitStack() as stack:

        async def start(**changes: str) -> Api:
            config = load(ApiConfig, environment | changes)
            server = await stack.enter_async_context(open_server(config))
            port = await server.start(config.api_host, 0)
            stack.push_async_callback(server.stop, delay=config.shutdown_delay, grace=config.shutdown_grace)
            channel = await stack.enter_async_context(aio.insecure_channel(f"127.0.0.1:{port}"))
            return Api(server, port, channel, VideoServiceStub(channel))

        yield start


@pytest.fixture
async def api(start_api: Callable[..., Awaitable[Api]]) -> Api:
    """An API with the default test configuration."""
    return await start_api()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[PostgresDatabase]:
    """The API's database, used to act as a worker or to inspect rows."""
    async with PostgresDatabase.open(database_url) as database:
        yield database


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """A function that waits until an asynchronous condition holds."""

    async def wait(condition: Callable[[], Awaitable[object]], *, within: float = 300) -> None:
        deadline = monotonic() + within
        while not await condition():
            assert monotonic() < deadline, "the condition never held"
            await asyncio.sleep(0.02)

    return wait


@pytest.fixture
def refused() -> Callable[[Any], Awaitable[Refusal]]:
    """A function that awaits a call that must fail with exactly one ErrorInfo of GoStream."""

    async def see(call: Any) -> Refusal:
        with pytest.raises(aio.AioRpcError) as caught:
            await call
        return _refusal(caught.value)

    return see


def _refusal(error: aio.AioRpcError) -> Refusal:
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert (status.code, status.message) == (error.code().value[0], error.details())
    details: dict[str, Any] = {}
    for packed in status.details:
        name = packed.type_url.rpartition(".")[2]
        assert name not in details
        details[name] = getattr(error_details_pb2, name)()
        assert packed.Unpack(details[name])
    info = details.pop("ErrorInfo")
    assert info.domain == "gostream"
    return Refusal(error.code(), str(error.details()), info, details, trailers)
