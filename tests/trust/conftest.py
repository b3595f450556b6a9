"""An API in mode jwt with real backends, its callers, and the doors that answer them."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from google.protobuf.message import Message
from grpc import aio

from gostream.v1.event_service_pb2_grpc import EventServiceStub
from gostream.v1.track_service_pb2_grpc import TrackServiceStub
from gostream.v1.upload_service_pb2_grpc import UploadServiceStub
from gostream.v1.video_service_pb2 import CreateVideoRequest, GetVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream.v1.webhook_service_pb2_grpc import WebhookServiceStub
from gostream_api.app import open_server
from gostream_api.config import ApiConfig
from gostream_devstack.fixtures import RedisSettings
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.servers.envoy import Envoy
from gostream_devstack.servers.seaweedfs import SeaweedFS
from gostream_shared.config import load
from tests.trust.edge_doors import EdgeDoor, as_grpc_web, as_json
from tests.trust.outcomes import Metadata, Outcome, outcome
from tests.trust.tokens import AUDIENCE, ISSUER, all_keys, signed

__all__ = ["Metadata", "Outcome", "outcome"]

_READS = ("GetVideo", "BatchGetVideos")
#: A statement that a busy machine does not answer in time is UNAVAILABLE: clients repeat the call.
_PATIENT = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
#: Streams are long in gRPC-Web: the JSON door has them.
_WEB = ("GetVideo", "DeleteVideo", "CreateVideo")


def bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


def caller(subject: str, *scopes: str, **claims: Any) -> Metadata:
    """The metadata of a caller with a good token."""
    return bearer(signed(sub=subject, scope=" ".join(f"videos:{scope}" for scope in scopes), **claims))


@dataclass(frozen=True)
class Door:
    """One way to the API."""

    channel: aio.Channel
    stub: Any
    #: The methods that it answers; empty = all.
    methods: frozenset[str] = frozenset()

    def answers(self, call: str) -> bool:
        """Whether it answers a call of the matrix."""
        return not self.methods or call.partition(" ")[0] in self.methods

    def call(self, method: str, request: Message, metadata: Metadata) -> Awaitable[Any]:
        """Begins a call; a stream ends after its first message."""
        stubs = (
            self.stub,
            UploadServiceStub(self.channel),
            EventServiceStub(self.channel),
            TrackServiceStub(self.channel),
            WebhookServiceStub(self.channel),
        )
        stub = next(each for each in stubs if hasattr(each, method))
        call = getattr(stub, method)(request, metadata=metadata, timeout=60)
        return _first(call) if method.startswith("Watch") else call


async def _first(call: Any) -> None:
    async for _ in call:
        call.cancel()
        return


@dataclass(frozen=True)
class Api:
    """The API under test."""

    doors: dict[str, Door]
    keys: Path
    #: Of the read door's JSON.
    url: str
    port: int
    read_port: int
    admin: Metadata = field(default_factory=lambda: caller("root", "read", "write", "admin"))

    @property
    def stub(self) -> Any:
        return self.doors["grpc.aio"].stub

    async def create(self, owner: str) -> str:
        """A new video of the owner, made by an admin."""
        request = CreateVideoRequest(title="Holiday", size_bytes=4, user_id=owner)
        video_id: str = (await self.stub.CreateVideo(request, metadata=self.admin, timeout=60)).video.id
        return video_id

    async def layer(self, video_id: str) -> str:
        call = self.stub.GetVideo(GetVideoRequest(id=video_id), metadata=self.admin, timeout=60)
        await call
        return str(dict(await call.trailing_metadata())["x-cache"])

    async def heat(self, video_id: str) -> None:
        """Reads until L1 has the video."""
        while await self.layer(video_id) != "L1":
            pass


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


StartApi = Callable[..., Awaitable[Api]]


@pytest.fixture
async def start_api(
    database_settings: Mapping[str, str],
    redis_settings: RedisSettings,
    object_store_server: SeaweedFS,
    tmp_path: Path,
) -> AsyncIterator[StartApi]:
    """A function that starts an API in this process; keywords are environment variables."""
    keys, issuers = tmp_path / "jwks.json", tmp_path / "issuers.yaml"
    keys.write_bytes(all_keys())
    entry = {"alias": "corp", "issuer": ISSUER, "audiences": [AUDIENCE], "jwks_file": "jwks.json"}
    issuers.write_text(yaml.safe_dump([entry]))
    environment = {
        **database_settings,
        "REDIS_HOST": redis_settings.host,
        "REDIS_PORT": str(redis_settings.port),
        "REDIS_PASSWORD": redis_settings.password,
        "REDIS_DB": str(redis_settings.db),
        "S3_ENDPOINT_URL": object_store_server.endpoint_url,
        "S3_BUCKET": object_store_server.bucket,
        "S3_ACCESS_KEY": object_store_server.access_key,
        "S3_SECRET_KEY": object_store_server.secret_key,
        "API_PORT": "0",
        "SHUTDOWN_DELAY": "0s",
        "SHUTDOWN_GRACE": "5s",
        "AUTH_MODE": "jwt",
        "AUTH_JWT_ISSUERS_FILE": str(issuers),
        "AUTH_JWT_LEEWAY": "0s",
        "DELETE_RETENTION": "1h",
        # Tests call faster than people. Those of the rates set them.
        "RATE_WRITES": "0",
        "RATE_CREATES": "0",
        "QUOTA_WEBHOOKS": "0",
    }
    async with AsyncExitStack() as stack:

        async def start(**changes: str) -> Api:
            config = load(ApiConfig, environment | {"READ_PORT": str(_free_port())} | changes)
            server = await stack.enter_async_context(open_server(config))
            port = await server.start(config.api_host, 0)
            stack.push_async_callback(server.stop, delay=config.shutdown_delay, grace=config.shutdown_grace)
            doors = {}
            for name, number, methods in (("grpc.aio", port, ()), ("read door", config.read_port, _READS)):
                options = [("grpc.service_config", json.dumps(_PATIENT))]
                channel = await stack.enter_async_context(
                    aio.insecure_channel(f"127.0.0.1:{number}", options=options)
                )
                doors[name] = Door(channel, VideoServiceStub(channel), frozenset(methods))
            return Api(doors, keys, f"http://127.0.0.1:{config.read_port}", port, config.read_port)

        yield start


@pytest.fixture
async def api(start_api: StartApi) -> Api:
    return await start_api()


@pytest.fixture
async def edge(api: Api, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The URL of an Envoy in front of the API, with its issuers."""
    home, ports = Directories.at(tmp_path_factory.mktemp("edge")), Ports({})
    envoy = Envoy(home, ports.pick("edge"), ports.pick("admin"), [api])
    envoy.issuers = api.keys.parent / "issuers.yaml"
    try:
        await asyncio.to_thread(envoy.start)
        await asyncio.to_thread(envoy.wait_for_apis)
        yield envoy.url
    finally:
        await asyncio.to_thread(envoy.stop)
        home.remove()


@pytest.fixture
async def edge_doors(api: Api, edge: str) -> AsyncIterator[dict[str, EdgeDoor]]:
    """The doors of browsers."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield {
            "JSON": EdgeDoor(session, edge, as_json),
            "gRPC-Web": EdgeDoor(session, edge, as_grpc_web, frozenset(_WEB)),
        }
