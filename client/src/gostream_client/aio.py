"""The asyncio client."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

from grpc import aio

from gostream.v1.event_pb2 import Event
from gostream.v1.video_pb2 import Track, Video
from gostream.v1.video_service_pb2 import ListVideosResponse
from gostream_client import calls
from gostream_client.base import ClientBase, remaining
from gostream_client.calls import describe
from gostream_client.connection.token import AsyncTokens, bearer
from gostream_client.errors import DeadlineExceededError, GoStreamError, TokenInvalidError
from gostream_client.events import calls as event_calls
from gostream_client.events import webhooks
from gostream_client.near.cache import NearCache, NearCounts, is_read
from gostream_client.rpc_errors import trailers_of
from gostream_client.table import Call
from gostream_client.upload.wishes import DOC as UPLOAD
from gostream_client.upload.wishes import TRACK_DOC, TrackWishes, Wishes
from gostream_client.watch import IDLE_SECONDS, EventWatch, Watch, raise_if_failed

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")
Message = TypeVar("Message")


def _method(
    call: Callable[Parameters, Call[Answer]],
) -> "Callable[Concatenate[AsyncClient, Parameters], Coroutine[Any, Any, Answer]]":
    async def method(self: "AsyncClient", /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        return await self._answer(call(*args, **kwargs))

    describe(method, call)
    return method


def _pages(
    call: Callable[Parameters, Call[ListVideosResponse]],
) -> "Callable[Concatenate[AsyncClient, Parameters], AsyncIterator[Video]]":
    async def method(
        self: "AsyncClient", /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> AsyncIterator[Video]:
        following: Call[ListVideosResponse] | None = call(*args, **kwargs)
        while following is not None:
            page = await self._answer(following)
            for video in page.videos:
                yield video
            following = calls.next_page(following, page)

    doc = "Yields all videos, newest first, from `page_token` on; each page is a call of list_videos_page()."
    describe(method, call, name="list_videos", doc=doc, answer=AsyncIterator[Video])
    return method


def _upload(
    wish: Callable[Parameters, Wishes],
) -> "Callable[Concatenate[AsyncClient, Parameters], Coroutine[Any, Any, Video]]":
    async def method(self: "AsyncClient", /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Video:
        from gostream_client.upload.upload import upload

        return await upload(self._answer, wish(*args, **kwargs))

    describe(method, wish, name="upload", doc=UPLOAD, answer=Video)
    return method


def _events(
    call: Callable[Parameters, Call[Event]],
) -> "Callable[Concatenate[AsyncClient, Parameters], AsyncGenerator[Event, None]]":
    async def method(
        self: "AsyncClient", /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> AsyncGenerator[Event, None]:
        watch = EventWatch(self.server, call(*args, **kwargs), backoff=0.25)
        async with aclosing(self._watch(watch, watch.call, IDLE_SECONDS)) as events:
            async for event in events:
                yield event

    describe(method, call, answer=AsyncGenerator[Event, None])
    return method


def _upload_track(
    wish: Callable[Parameters, TrackWishes],
) -> "Callable[Concatenate[AsyncClient, Parameters], Coroutine[Any, Any, Track]]":
    async def method(self: "AsyncClient", /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Track:
        from gostream_client.upload.upload import upload_track

        return await upload_track(self._answer, wish(*args, **kwargs))

    describe(method, wish, name="upload_track", doc=TRACK_DOC, answer=Track)
    return method


class AsyncClient(ClientBase[aio.Channel]):
    """The API for asyncio, with a deadline on every call: `async with AsyncClient("host:port") as client`.

    Reads and writes with a request id are repeated after UNAVAILABLE, on another replica if there is one. All
    failures are a GoStreamError. See Client, which has the same methods, for the arguments.
    """

    create_video = _method(calls.create_video)
    trigger_process = _method(calls.trigger_process)
    cancel_process = _method(calls.cancel_process)
    get_video = _method(calls.get_video)
    get_video_reply = _method(calls.get_video_reply)
    batch_get_videos = _method(calls.batch_get_videos)
    list_videos_page = _method(calls.list_videos_page)
    list_videos = _pages(calls.list_videos_page)
    delete_video = _method(calls.delete_video)
    undelete_video = _method(calls.undelete_video)
    update_video = _method(calls.update_video)
    get_playback_info = _method(calls.get_playback_info)
    revoke_playback = _method(calls.revoke_playback)
    upload = _upload(Wishes)
    list_events_page = _method(event_calls.list_events_page)
    watch_events = _events(event_calls.watch_events)
    create_webhook = _method(webhooks.create_webhook)
    get_webhook = _method(webhooks.get_webhook)
    list_webhooks_page = _method(webhooks.list_webhooks_page)
    update_webhook = _method(webhooks.update_webhook)
    delete_webhook = _method(webhooks.delete_webhook)
    rotate_webhook_secret = _method(webhooks.rotate_webhook_secret)
    test_webhook = _method(webhooks.test_webhook)
    list_deliveries_page = _method(webhooks.list_deliveries_page)
    redeliver = _method(webhooks.redeliver)
    add_track = _method(calls.add_track)
    prepare_track = _method(calls.prepare_track)
    update_track = _method(calls.update_track)
    delete_track = _method(calls.delete_track)
    list_tracks = _method(calls.list_tracks)
    upload_track = _upload_track(TrackWishes)
    explain_video = _method(calls.explain_video)

    _TOKENS = AsyncTokens
    _HAS_NEAR_CACHE = True
    _tokens: AsyncTokens
    _near: NearCache | None = None
    _following: asyncio.Task[None] | None = None

    @property
    def near_cache(self) -> NearCounts | None:
        """What the near cache has done; None without one."""
        return self._near.counts() if self._near else None

    async def open(self) -> Self:
        """Resolves names and makes the channel, which connects with the first call."""
        if self._channel is None:
            dial = await asyncio.to_thread(self._dial)
            if dial.credentials is None:
                self._channel = aio.insecure_channel(dial.target, options=dial.options)
            else:
                self._channel = aio.secure_channel(dial.target, dial.credentials, options=dial.options)
        if self._near_size and self._following is None:
            self._near = NearCache(self._near_size, self.server)
            self._following = asyncio.create_task(self._near.follow(self._watch))
        return self

    async def close(self) -> None:
        """Ends running calls and closes the channel."""
        if self._near and self._following:
            following, self._following = self._following, None
            self._near.close()
            following.cancel()
            await asyncio.wait((following,))
        if (channel := self._forget_channel()) is not None:
            await channel.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *cause: object) -> None:
        await self.close()

    async def watch(
        self, video_id: str, *, min_version: int = 0, idle: float = IDLE_SECONDS, backoff: float = 0.25
    ) -> AsyncGenerator[Video, None]:
        """As Client.watch."""
        watch = Watch(self.server, min_version=min_version, backoff=backoff)
        async with aclosing(self._watch(watch, partial(calls.watch_video, video_id), idle)) as states:
            async for state in states:
                yield state

    async def wait(self, video_id: str, *, min_version: int = 0, timeout: float | None = None) -> Video:
        """As Client.wait."""
        video = Video()
        try:
            async with (
                asyncio.timeout(timeout),
                aclosing(self.watch(video_id, min_version=min_version)) as states,
            ):
                async for state in states:
                    video = state
        except TimeoutError:
            raise DeadlineExceededError(f"{video_id} was not ready in time") from None
        raise_if_failed(video)
        return video

    async def _answer(self, call: Call[Answer]) -> Answer:
        if self._near is None:
            return await self._ask(call)
        if is_read(call):
            return cast("Answer", await self._near.get(cast("Call[Video]", call), self._ask))
        return cast("Answer", await self._near.write(call, self._ask))

    async def _ask(self, call: Call[Answer]) -> Answer:
        until = self._until(call)
        stub = self._stub(call.method)
        rejected = ""
        while True:
            token = await self._tokens.text(remaining(until), rejected=rejected)
            rpc = stub(call.request, timeout=remaining(until), metadata=bearer(token))
            try:
                answer = await rpc
            except aio.AioRpcError as error:
                failure = self._failure(error)
                if rejected or not isinstance(failure, TokenInvalidError):
                    raise failure from error
                if not await self._has_newer(token, remaining(until)):
                    raise failure from error
                rejected = token
                continue
            return call.result(answer, trailers_of(await rpc.trailing_metadata()))

    async def _watch(
        self, watch: Any, call: Callable[[], Call[Message]], idle: float
    ) -> AsyncGenerator[Message, None]:
        """Yields what is new to a Watch or EventWatch."""
        rejected = ""
        while True:
            token = await self._tokens.text(IDLE_SECONDS, rejected=rejected)
            failure: GoStreamError | None = None
            try:
                async with aclosing(self._stream(call(), token, idle)) as stream:
                    async for message in stream:
                        if watch.is_news(message):
                            yield message
                        if watch.is_over:
                            return
            except aio.AioRpcError as error:
                failure = self._failure(error)
            if failure and watch.may_renew(failure) and await self._has_newer(token, IDLE_SECONDS):
                rejected = token
                continue
            await asyncio.sleep(watch.delay_after(failure))

    async def _stream(self, call: Call[Message], token: str, idle: float) -> AsyncGenerator[Message, None]:
        """Yields the messages of one stream, until it ends or is silent for `idle` seconds."""
        rpc = self._stub(call.method)(call.request, metadata=bearer(token))
        messages = aiter(rpc)
        try:
            while True:
                try:
                    async with asyncio.timeout(idle):
                        message = await anext(messages)
                except (StopAsyncIteration, TimeoutError):
                    return
                yield message
        finally:
            rpc.cancel()

    async def _has_newer(self, token: str, seconds: float) -> bool:
        return bool(token) and await self._tokens.text(seconds, rejected=token) != token
