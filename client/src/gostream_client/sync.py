"""The blocking client."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from threading import Timer
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import grpc

from gostream.v1.event_pb2 import Event
from gostream.v1.video_pb2 import Track, Video
from gostream.v1.video_service_pb2 import ListVideosResponse
from gostream_client import calls
from gostream_client.base import ClientBase, remaining
from gostream_client.calls import describe
from gostream_client.connection.blocking import in_thread, run_blocking
from gostream_client.connection.token import BlockingTokens, bearer
from gostream_client.errors import DeadlineExceededError, GoStreamError, TokenInvalidError
from gostream_client.events import calls as event_calls
from gostream_client.events import webhooks
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
) -> "Callable[Concatenate[Client, Parameters], Answer]":
    def method(self: "Client", /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        return self._answer(call(*args, **kwargs))

    describe(method, call)
    return method


def _pages(
    call: Callable[Parameters, Call[ListVideosResponse]],
) -> "Callable[Concatenate[Client, Parameters], Iterator[Video]]":
    def method(self: "Client", /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Iterator[Video]:
        following: Call[ListVideosResponse] | None = call(*args, **kwargs)
        while following is not None:
            page = self._answer(following)
            yield from page.videos
            following = calls.next_page(following, page)

    doc = "Yields all videos, newest first, from `page_token` on; each page is a call of list_videos_page()."
    describe(method, call, name="list_videos", doc=doc, answer=Iterator[Video])
    return method


def _upload(
    wish: Callable[Parameters, Wishes],
) -> "Callable[Concatenate[Client, Parameters], Video]":
    def method(self: "Client", /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Video:
        from gostream_client.upload.upload import upload

        wishes = wish(*args, **kwargs)
        return run_blocking(lambda: upload(in_thread(self._answer), wishes))

    describe(method, wish, name="upload", doc=UPLOAD, answer=Video)
    return method


def _events(
    call: Callable[Parameters, Call[Event]],
) -> "Callable[Concatenate[Client, Parameters], Generator[Event, None, None]]":
    def method(
        self: "Client", /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Generator[Event, None, None]:
        watch = EventWatch(self.server, call(*args, **kwargs), backoff=0.25)
        return self._watch(watch, watch.call, IDLE_SECONDS)

    describe(method, call, answer=Generator[Event, None, None])
    return method


def _upload_track(
    wish: Callable[Parameters, TrackWishes],
) -> "Callable[Concatenate[Client, Parameters], Track]":
    def method(self: "Client", /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Track:
        from gostream_client.upload.upload import upload_track

        wishes = wish(*args, **kwargs)
        return run_blocking(lambda: upload_track(in_thread(self._answer), wishes))

    describe(method, wish, name="upload_track", doc=TRACK_DOC, answer=Track)
    return method


class Client(ClientBase[grpc.Channel]):
    """The API for threads, with a deadline on every call; used as `with Client("host:port") as client`.

    Several threads may use one client. Reads and writes with a request id are repeated after UNAVAILABLE, on
    another replica if there is one. All failures are a GoStreamError.
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

    _TOKENS = BlockingTokens
    _tokens: BlockingTokens

    def open(self) -> Self:
        """Resolves names and makes the channel, which connects with the first call."""
        if self._channel is None:
            dial = self._dial()
            if dial.credentials is None:
                self._channel = grpc.insecure_channel(dial.target, options=dial.options)
            else:
                self._channel = grpc.secure_channel(dial.target, dial.credentials, options=dial.options)
        return self

    def close(self) -> None:
        """Ends running calls and closes the channel."""
        if (channel := self._forget_channel()) is not None:
            channel.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *cause: object) -> None:
        self.close()

    def watch(
        self, video_id: str, *, min_version: int = 0, idle: float = IDLE_SECONDS, backoff: float = 0.25
    ) -> Generator[Video, None, None]:
        """Yields every state of the video, and ends after READY, FAILED or CANCELLED at or above
        `min_version`.

        Opens another stream if one breaks, ends early or is silent for `idle` seconds. Raises GoStreamError
        if the server refuses the call, or after MAX_FAILURES consecutive failures with `backoff` seconds in
        between, doubled each time.
        """
        watch = Watch(self.server, min_version=min_version, backoff=backoff)
        return self._watch(watch, partial(calls.watch_video, video_id), idle)

    def wait(self, video_id: str, *, min_version: int = 0, timeout: float | None = None) -> Video:
        """Returns the video when it is READY at or above `min_version`.

        Pass the version that trigger_process() returned. Raises ProcessingFailedError if it ends otherwise,
        DeadlineExceededError after `timeout` seconds, and what watch() raises.
        """
        video = Video()
        until = None if timeout is None else time.monotonic() + timeout
        watch = Watch(self.server, min_version=min_version, backoff=0.25)
        try:
            call = partial(calls.watch_video, video_id)
            with closing(self._watch(watch, call, IDLE_SECONDS, until)) as states:
                for state in states:
                    video = state
        except DeadlineExceededError:
            raise DeadlineExceededError(f"{video_id} was not ready in time") from None
        raise_if_failed(video)
        return video

    def _answer(self, call: Call[Answer]) -> Answer:
        until = self._until(call)
        stub = self._stub(call.method)
        rejected = ""
        while True:
            token = self._tokens.text(remaining(until), rejected=rejected)
            try:
                answer, rpc = stub.with_call(call.request, timeout=remaining(until), metadata=bearer(token))
            except grpc.RpcError as error:
                failure = self._failure(error)
                if rejected or not isinstance(failure, TokenInvalidError):
                    raise failure from error
                if not self._has_newer(token, remaining(until)):
                    raise failure from error
                rejected = token
                continue
            return call.result(answer, trailers_of(rpc.trailing_metadata()))

    def _watch(
        self,
        watch: Any,
        call: Callable[[], Call[Message]],
        idle: float,
        until: float | None = None,
    ) -> Generator[Message, None, None]:
        """Yields what is new to a Watch or EventWatch, until a time of the monotonic clock.

        Raises DeadlineExceededError then.
        """
        rejected = ""
        while True:
            seconds = IDLE_SECONDS if until is None else remaining(until)
            token = self._tokens.text(seconds, rejected=rejected)
            failure: GoStreamError | None = None
            try:
                with closing(self._stream(call(), token, idle, until)) as stream:
                    for message in stream:
                        if watch.is_news(message):
                            yield message
                        if watch.is_over:
                            return
            except grpc.RpcError as error:
                failure = self._failure(error)
            if failure and watch.may_renew(failure) and self._has_newer(token, seconds):
                rejected = token
                continue
            delay = watch.delay_after(failure)
            if until is not None and delay >= remaining(until):
                time.sleep(remaining(until))
                raise DeadlineExceededError("the time is over")
            time.sleep(delay)

    def _stream(
        self, call: Call[Message], token: str, idle: float, until: float | None
    ) -> Generator[Message, None, None]:
        """Yields the messages of one stream, until it ends or is silent for `idle` seconds."""
        seconds = None if until is None else remaining(until)
        rpc = self._stub(call.method)(call.request, timeout=seconds, metadata=bearer(token))
        silence = _Silence(idle, rpc.cancel)
        try:
            while (message := silence.broken_by(rpc)) is not None:
                yield message
        finally:
            rpc.cancel()

    def _has_newer(self, token: str, seconds: float) -> bool:
        return bool(token) and self._tokens.text(seconds, rejected=token) != token


class _Silence:
    """Ends a stream that is silent. A read from a blocking stream has no deadline."""

    def __init__(self, seconds: float, end: Callable[[], Any]) -> None:
        self._seconds = seconds
        self._end = end
        self._is_over = False

    def broken_by(self, messages: Iterator[Message]) -> Message | None:
        """Returns the next message; None if the stream ended or was silent. Raises grpc.RpcError."""
        timer = Timer(self._seconds, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            return next(messages, None)
        except grpc.RpcError:
            if self._is_over:
                return None
            raise
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self._is_over = True
        self._end()
