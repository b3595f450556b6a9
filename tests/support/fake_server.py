"""A scripted API server and object store on loopback, with real gRPC and real HTTP."""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import grpc
from aiohttp import web
from google.protobuf import any_pb2, empty_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_status import rpc_status

from gostream.v1 import (
    event_pb2,
    event_service_pb2,
    event_service_pb2_grpc,
    video_pb2,
    video_service_pb2,
    video_service_pb2_grpc,
)

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
VIDEO_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
Video = video_pb2.Video
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"  # generic to the type checker alone


@dataclass
class Refusal:
    """A failure of a call: a google.rpc.Status as the API sends it."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    details: tuple[Message, ...] = ()


def video(
    status: Video.Status.ValueType = Video.STATUS_PENDING_UPLOAD, version: int = 1, **fields: Any
) -> Video:
    made = Video(id=VIDEO_ID, title="Holiday", status=status, version=version, **fields)
    made.create_time.FromDatetime(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    return made


def processing(percent: float, *, version: int = 2, stage: str = "encoding") -> Video:
    return video(
        Video.STATUS_PROCESSING,
        version,
        processing=video_pb2.Processing(stage=stage, percent=percent, attempt=1),
    )


@dataclass
class Api(video_service_pb2_grpc.VideoServiceServicer, event_service_pb2_grpc.EventServiceServicer):
    """Replies from its script and records the requests."""

    upload: video_service_pb2.Upload = field(default_factory=video_service_pb2.Upload)
    videos: list[Video] = field(default_factory=lambda: [video()])
    playback: video_service_pb2.GetPlaybackInfoResponse = field(
        default_factory=video_service_pb2.GetPlaybackInfoResponse
    )
    processed: Video = field(default_factory=lambda: processing(0))
    streams: deque[list[Video | Refusal | float]] = field(default_factory=deque)
    event_streams: deque[list[event_pb2.Event | Refusal | float]] = field(default_factory=deque)
    refusals: deque[Refusal] = field(default_factory=deque)
    requests: list[Any] = field(default_factory=list)
    deadlines: list[float | None] = field(default_factory=list)
    tokens: list[str | bytes | None] = field(default_factory=list)
    delay: float = 0.0

    async def _heard(self, request: Message, context: Context) -> None:
        self.requests.append(request)
        self.deadlines.append(context.time_remaining())
        self.tokens.append(dict(context.invocation_metadata() or ()).get("authorization"))
        context.set_trailing_metadata((("x-request-id", "req-7"), ("x-cache", "L2")))
        await asyncio.sleep(self.delay)
        if self.refusals:
            await refuse(context, self.refusals.popleft())

    async def CreateVideo(self, request: Any, context: Context) -> video_service_pb2.CreateVideoResponse:  # noqa: N802
        await self._heard(request, context)
        return video_service_pb2.CreateVideoResponse(video=self.videos[0], upload=self.upload)

    async def TriggerProcess(self, request: Any, context: Context) -> Video:  # noqa: N802
        await self._heard(request, context)
        return self.processed

    async def CancelProcess(self, request: Any, context: Context) -> Video:  # noqa: N802
        await self._heard(request, context)
        return video(Video.STATUS_CANCELLED, self.processed.version + 1)

    async def GetVideo(self, request: Any, context: Context) -> Video:  # noqa: N802
        await self._heard(request, context)
        return self.videos[0]

    async def BatchGetVideos(  # noqa: N802
        self, request: Any, context: Context
    ) -> video_service_pb2.BatchGetVideosResponse:
        await self._heard(request, context)
        return video_service_pb2.BatchGetVideosResponse(videos=self.videos[: len(request.ids)])

    async def ListVideos(self, request: Any, context: Context) -> video_service_pb2.ListVideosResponse:  # noqa: N802
        await self._heard(request, context)
        start = int(request.page_token or 0)
        after = start + (request.page_size or 50)
        page = self.videos[start:after]
        token = str(after) if after < len(self.videos) else ""
        return video_service_pb2.ListVideosResponse(videos=page, next_page_token=token)

    async def DeleteVideo(self, request: Any, context: Context) -> empty_pb2.Empty:  # noqa: N802
        await self._heard(request, context)
        return empty_pb2.Empty()

    async def UndeleteVideo(self, request: Any, context: Context) -> Video:  # noqa: N802
        await self._heard(request, context)
        return video(version=3)

    async def UpdateVideo(self, request: Any, context: Context) -> Video:  # noqa: N802
        await self._heard(request, context)
        return video(playback_policy=request.video.playback_policy, playback_epoch=2)

    async def GetPlaybackInfo(  # noqa: N802
        self, request: Any, context: Context
    ) -> video_service_pb2.GetPlaybackInfoResponse:
        await self._heard(request, context)
        return self.playback

    async def RevokePlayback(self, request: Any, context: Context) -> Video:  # noqa: N802
        await self._heard(request, context)
        return video(playback_policy=video_pb2.PLAYBACK_POLICY_SIGNED, playback_epoch=3)

    async def WatchVideo(self, request: Any, context: Context) -> AsyncIterator[Video]:  # noqa: N802
        """Plays the next stream of the script: sends videos, sleeps for numbers in seconds."""
        await self._heard(request, context)
        for step in self.streams.popleft() if self.streams else []:
            if isinstance(step, Refusal):
                await refuse(context, step)
            elif isinstance(step, Video):
                yield step
            else:
                await asyncio.sleep(step)

    async def ListEvents(  # noqa: N802
        self, request: Any, context: Context
    ) -> event_service_pb2.ListEventsResponse:
        await self._heard(request, context)
        return event_service_pb2.ListEventsResponse()

    async def WatchEvents(self, request: Any, context: Context) -> AsyncIterator[event_pb2.Event]:  # noqa: N802
        """Plays the next stream of the script; then the stream is silent."""
        heard = event_service_pb2.WatchEventsRequest()
        heard.CopyFrom(request)
        await self._heard(heard, context)
        for step in self.event_streams.popleft() if self.event_streams else [3600.0]:
            if isinstance(step, Refusal):
                await refuse(context, step)
            elif isinstance(step, event_pb2.Event):
                yield step
            else:
                await asyncio.sleep(step)


async def refuse(context: Context, refusal: Refusal) -> None:
    details: list[Message] = list(refusal.details)
    if refusal.reason:
        details.append(error_details_pb2.ErrorInfo(reason=refusal.reason, domain="gostream"))
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    number = code_pb2.Code.Value(refusal.code.name)
    status = rpc_status.to_status(status_pb2.Status(code=number, message=refusal.message, details=packed))
    context.set_trailing_metadata((("x-request-id", "req-7"), *(status.trailing_metadata or ())))
    await context.abort(refusal.code, refusal.message)


@dataclass
class ApiServer:
    """A running Api; `address` is valid for --server."""

    api: Api
    address: str
    health: health_aio.HealthServicer


@asynccontextmanager
async def serve_api(api: Api) -> AsyncIterator[ApiServer]:
    server = grpc.aio.server()
    health = health_aio.HealthServicer()
    video_service_pb2_grpc.add_VideoServiceServicer_to_server(api, server)
    event_service_pb2_grpc.add_EventServiceServicer_to_server(api, server)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    await health.set("gostream.v1.VideoService", health_pb2.HealthCheckResponse.SERVING)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield ApiServer(api, f"127.0.0.1:{port}", health)
    finally:
        await server.stop(0)


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Store:
    """An object store for PUT: each PUT consumes one of `answers`; then every PUT succeeds."""

    url: str = ""
    answers: deque[Answer] = field(default_factory=deque)
    puts: int = 0
    sha256: str = ""
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    async def put(self, request: web.Request) -> web.StreamResponse:
        self.puts += 1
        self.headers = dict(request.headers)
        self.query = request.raw_path.partition("?")[2]
        if self.answers:
            return await self.answers.popleft()(request)
        digest = hashlib.sha256()
        async for chunk in request.content.iter_chunked(1 << 16):
            digest.update(chunk)
        self.sha256 = digest.hexdigest()
        return web.Response()

    def upload(self, *, expires_in: float = 3600) -> video_service_pb2.Upload:
        """The upload of a CreateVideo response for this store."""
        upload = video_service_pb2.Upload(
            method="PUT",
            url=f"{self.url}/videos/source?X-Amz-Signature=abc%2Fdef%2B",
            headers={"Content-Type": "video/mp4", "x-amz-meta-a": "b"},
        )
        upload.expire_time.FromDatetime(datetime.now(UTC) + timedelta(seconds=expires_in))
        return upload


def s3_error(status: int, code: str, message: str) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return web.Response(status=status, text=text, content_type="application/xml")

    return answer


async def cut_connection(request: web.Request) -> web.StreamResponse:
    """Reads a part of the body and closes the connection."""
    assert request.transport is not None
    request.transport.write(CONTINUE)
    await request.content.read(1000)
    request.transport.abort()
    return web.Response()


async def never_answer(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return web.Response()


@asynccontextmanager
async def serve_store() -> AsyncIterator[Store]:
    store = Store()

    async def refuse_early(request: web.Request) -> None:
        """Sends a scripted answer instead of 100 Continue, as S3 does for a bad signature."""
        if not store.answers and request.transport is not None:
            request.transport.write(CONTINUE)

    app = web.Application(client_max_size=1 << 30)
    app.router.add_put("/{key:.*}", store.put, expect_handler=refuse_early)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    store.url = f"http://{host}:{port}"
    try:
        yield store
    finally:
        await runner.cleanup()
