"""A client of VideoService with deadlines, retries and typed errors."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from typing import Any, Protocol, TypeVar
from uuid import uuid4

import grpc

from gostream.v1 import video_pb2, video_service_pb2, video_service_pb2_grpc
from gostream_client.errors import ClientError
from gostream_client.multipart.calls import UploadCalls
from gostream_client.playback import info_request, policy_number, update_request
from gostream_client.proxy import proxy_variable
from gostream_client.rpc_errors import REQUEST_ID_KEY, from_rpc
from gostream_client.target import dial_target, split_servers
from gostream_client.tls import Tls
from gostream_client.token import TokenSource

# Deadlines are set per call: a timeout in the service config fires early and is not sent to the server.
GET_DEADLINE = 2.0
LIST_DEADLINE = 5.0
WRITE_DEADLINE = 10.0
PAGE_SIZE_LIMIT = 1000

_CHANNEL_OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.service_config", files("gostream_client").joinpath("service_config.json").read_text()),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_retries", 1),
    # A frozen replica answers no ping, so its connection is closed after 5 s + 3 s. The API accepts a ping
    # every 4 s. Current gRPC cores use the second timeout, a minute by default; older cores use the first.
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),  # no limit: a watch sends nothing after its request
)

Answer_co = TypeVar("Answer_co", covariant=True)


class _Call(Awaitable[Answer_co], Protocol[Answer_co]):
    """The part of a grpc.aio call that the client uses."""

    async def trailing_metadata(self) -> grpc.aio.Metadata | None: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """A video with the `x-cache` and `x-request-id` trailers of the reply."""

    video: video_pb2.Video
    x_cache: str
    request_id: str


class Client:
    """VideoService with a deadline on every call. Raises failures as ClientError.

    `timeout` replaces the default deadline of every call. `proxy` is the environment variable of the proxy in
    use, or empty. Every call carries the current token of `token`.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        server: str,
        timeout: float | None = None,
        proxy: str = "",
        token: TokenSource | None = None,
    ) -> None:
        self._stub = video_service_pb2_grpc.VideoServiceStub(channel)
        #: Uploads in parts; see gostream_client.multipart.upload.
        self.uploads = UploadCalls(channel, self._options, self._answer)
        self._timeout = timeout
        self.server = server
        self._proxy = proxy
        self._token = token or TokenSource()

    async def create(
        self, *, title: str, user_id: str, content_type: str, size_bytes: int, policy: str = ""
    ) -> video_service_pb2.CreateVideoResponse:
        request = video_service_pb2.CreateVideoRequest(
            title=title,
            user_id=user_id,
            content_type=content_type,
            size_bytes=size_bytes,
            request_id=str(uuid4()),
            playback_policy=policy_number(policy),
        )
        return await self._answer(self._stub.CreateVideo(request, **await self._options(WRITE_DEADLINE)))

    async def process(self, video_id: str, *, profile: str = "") -> video_pb2.Video:
        options = video_service_pb2.ProcessOptions(profile=profile)
        request = video_service_pb2.TriggerProcessRequest(
            id=video_id, request_id=str(uuid4()), options=options
        )
        return await self._answer(self._stub.TriggerProcess(request, **await self._options(WRITE_DEADLINE)))

    async def cancel(self, video_id: str) -> video_pb2.Video:
        request = video_service_pb2.CancelProcessRequest(id=video_id)
        return await self._answer(self._stub.CancelProcess(request, **await self._options(WRITE_DEADLINE)))

    async def get(self, video_id: str, *, min_version: int = 0) -> Reply:
        request = video_service_pb2.GetVideoRequest(id=video_id, min_version=min_version)
        call = self._stub.GetVideo(request, **await self._options(GET_DEADLINE))
        video = await self._answer(call)
        trailers = dict(await call.trailing_metadata() or ())
        return Reply(video, str(trailers.get("x-cache", "")), str(trailers.get(REQUEST_ID_KEY, "")))

    async def list(
        self, *, user_id: str, status: video_pb2.Video.Status.ValueType, limit: int, page_token: str
    ) -> video_service_pb2.ListVideosResponse:
        """Returns up to `limit` videos, from as many pages as needed."""
        whole = video_service_pb2.ListVideosResponse(next_page_token=page_token)
        while len(whole.videos) < limit:
            request = video_service_pb2.ListVideosRequest(
                user_id=user_id,
                status=status,
                page_size=min(limit - len(whole.videos), PAGE_SIZE_LIMIT),
                page_token=whole.next_page_token,
            )
            page = await self._answer(self._stub.ListVideos(request, **await self._options(LIST_DEADLINE)))
            whole.videos.extend(page.videos)
            whole.next_page_token = page.next_page_token
            if not page.next_page_token:
                break
        return whole

    async def delete(self, video_id: str) -> None:
        request = video_service_pb2.DeleteVideoRequest(id=video_id)
        await self._answer(self._stub.DeleteVideo(request, **await self._options(WRITE_DEADLINE)))

    async def update(self, video_id: str, *, policy: str) -> video_pb2.Video:
        request = update_request(video_id, policy=policy)
        return await self._answer(self._stub.UpdateVideo(request, **await self._options(WRITE_DEADLINE)))

    async def playback(
        self, video_id: str, *, ttl: timedelta | None = None
    ) -> video_service_pb2.GetPlaybackInfoResponse:
        request = info_request(video_id, ttl)
        return await self._answer(self._stub.GetPlaybackInfo(request, **await self._options(GET_DEADLINE)))

    async def revoke(self, video_id: str) -> video_pb2.Video:
        request = video_service_pb2.RevokePlaybackRequest(id=video_id)
        return await self._answer(self._stub.RevokePlayback(request, **await self._options(WRITE_DEADLINE)))

    def watch(self, video_id: str) -> AsyncGenerator[video_pb2.Video, None]:
        """Open one WatchVideo stream without a deadline; `follow` in watch.py reopens broken streams.

        Raises grpc.aio.AioRpcError untranslated, so that `follow` can decide whether to reopen.
        """
        return self._states(video_service_pb2.WatchVideoRequest(id=video_id))

    async def _states(
        self, request: video_service_pb2.WatchVideoRequest
    ) -> AsyncGenerator[video_pb2.Video, None]:
        call = self._stub.WatchVideo(request, metadata=await self._token.metadata())
        try:
            async for video in call:
                yield video
        finally:
            call.cancel()

    def failure(self, error: grpc.aio.AioRpcError) -> ClientError:
        """Translate a failed call into a ClientError."""
        return from_rpc(error, self.server, proxy=self._proxy)

    async def _options(self, deadline: float) -> dict[str, Any]:
        """Returns the deadline and the metadata of a call."""
        timeout = deadline if self._timeout is None else self._timeout
        return {"timeout": timeout, "metadata": await self._token.metadata()}

    async def _answer(self, call: _Call[Answer_co]) -> Answer_co:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise self.failure(error) from None


@asynccontextmanager
async def connect(
    server: str, *, timeout: float | None = None, token: TokenSource | None = None, tls: Tls | None = None
) -> AsyncIterator[Client]:
    """Yields a client of `server` ("host:port", or several separated by commas).

    With `tls`, the server's certificate must name the host; of several servers, the host of the first one.
    Raises InvalidInputError if a token would reach another machine in plaintext, unless it may.
    """
    target = await dial_target(server)
    proxy = await proxy_variable(server)
    if token is not None and tls is None:
        await token.check_target(server, proxy=proxy)
    options = (*_CHANNEL_OPTIONS, ("grpc.enable_http_proxy", int(bool(proxy))))
    async with await _channel(server, target, options, tls) as channel:
        yield Client(channel, server=server, timeout=timeout, proxy=proxy, token=token)


async def _channel(
    server: str, target: str, options: Sequence[tuple[str, str | int]], tls: Tls | None
) -> grpc.aio.Channel:
    if tls is None:
        return grpc.aio.insecure_channel(target, options=options)
    [(host, _), *others] = split_servers(server)
    if others:  # dialled by their addresses, which are not in certificates
        options = (*options, ("grpc.ssl_target_name_override", host))
    credentials = await asyncio.to_thread(tls.credentials)
    return grpc.aio.secure_channel(target, credentials, options=options)
