"""The blocking client over the channel of grpcio-testing, which answers as the test says."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import grpc_testing
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from gostream.v1 import video_pb2, video_service_pb2
from gostream_client import Client, GoStreamError, TokenInvalidError, UnreachableError, VideoNotFoundError
from gostream_client.watch import MAX_FAILURES
from tests.support.fake_server import VIDEO_ID, processing, video

SERVICE = video_service_pb2.DESCRIPTOR.services_by_name["VideoService"]
READY = video_pb2.Video.STATUS_READY


class Api:
    """The server's side of a channel. Each method ends the next call."""

    def __init__(self) -> None:
        self.channel = grpc_testing.channel([SERVICE], grpc_testing.strict_real_time())
        self.tokens: list[str | None] = []

    def take(self, name: str) -> tuple[Any, Any]:
        """Waits for a call. Returns its request and the call."""
        metadata, request, rpc = self.channel.take_unary_unary(SERVICE.methods_by_name[name])
        self.tokens.append(dict(metadata).get("authorization"))
        return request, rpc

    def answer(self, name: str, reply: Any, **trailers: str) -> Any:
        request, rpc = self.take(name)
        rpc.terminate(
            reply, tuple((k.replace("_", "-"), v) for k, v in trailers.items()), grpc.StatusCode.OK, ""
        )
        return request

    def refuse(self, name: str, code: grpc.StatusCode, reason: str, text: str = "no") -> Any:
        request, rpc = self.take(name)
        packed = AnyMessage()
        packed.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="gostream"))
        status = status_pb2.Status(message=text, details=[packed])
        rpc.terminate(None, (("grpc-status-details-bin", status.SerializeToString()),), code, text)
        return request

    def stream(self, *states: video_pb2.Video, code: grpc.StatusCode = grpc.StatusCode.OK) -> None:
        metadata, _, rpc = self.channel.take_unary_stream(SERVICE.methods_by_name["WatchVideo"])
        self.tokens.append(dict(metadata).get("authorization"))
        for state in states:
            rpc.send_response(state)
        rpc.terminate((), code, "")


Called = Callable[..., "Future[Any]"]


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def call() -> Iterator[Called]:
    """Runs a function in a thread, because the test is the server."""
    with ThreadPoolExecutor(4) as threads:
        yield threads.submit


@pytest.fixture
def client(api: Api) -> Iterator[Client]:
    with Client("test:1", channel=api.channel) as client:
        yield client


def test_answer_is_returned(api: Api, client: Client, call: Called) -> None:
    called = call(client.get_video, VIDEO_ID, min_version=3)
    request = api.answer("GetVideo", video(version=3))

    assert (request.id, request.min_version) == (VIDEO_ID, 3)
    assert called.result(60) == video(version=3)


def test_reply_has_the_trailers(api: Api, client: Client, call: Called) -> None:
    called = call(client.get_video_reply, VIDEO_ID)
    api.answer("GetVideo", video(), x_cache="L1", x_request_id="req-1")

    assert (called.result(60).x_cache, called.result(60).request_id) == ("L1", "req-1")


def test_batch_is_a_list_of_videos(api: Api, client: Client, call: Called) -> None:
    called = call(client.batch_get_videos, ["a", "b"])
    request = api.answer(
        "BatchGetVideos", video_service_pb2.BatchGetVideosResponse(videos=[video(), video()])
    )

    assert list(request.ids) == ["a", "b"]
    assert called.result(60) == [video(), video()]


@pytest.mark.parametrize("given", ["", "mine"])
def test_writes_get_a_request_id(api: Api, client: Client, call: Called, given: str) -> None:
    called = call(client.create_video, title="T", policy="signed", request_id=given)
    request = api.answer("CreateVideo", video_service_pb2.CreateVideoResponse(video=video()))

    assert request.request_id == given or (not given and len(request.request_id) == 36)
    assert request.playback_policy == video_pb2.PLAYBACK_POLICY_SIGNED
    assert called.result(60).video.id == VIDEO_ID


def test_pages_are_read_as_needed(api: Api, client: Client, call: Called) -> None:
    found = client.list_videos(user_id="ann")
    first = call(next, found)
    page = video_service_pb2.ListVideosResponse(videos=[video(version=1)], next_page_token="more")
    api.answer("ListVideos", page)
    assert first.result(60).version == 1
    rest = call(list, found)
    request = api.answer("ListVideos", video_service_pb2.ListVideosResponse(videos=[video(version=2)]))

    assert (request.user_id, request.page_token) == ("ann", "more")
    assert [each.version for each in rest.result(60)] == [2]


def test_failure_is_the_exception_of_its_reason(api: Api, client: Client, call: Called) -> None:
    called = call(client.delete_video, VIDEO_ID)
    api.refuse("DeleteVideo", grpc.StatusCode.NOT_FOUND, "VIDEO_NOT_FOUND")

    with pytest.raises(VideoNotFoundError, match="no") as caught:
        called.result(60)
    assert isinstance(caught.value.__cause__, grpc.RpcError)


def test_token_is_renewed_once_for_all_threads(api: Api, call: Called) -> None:
    made: list[str] = []

    def token() -> str:
        made.append(f"token{len(made)}")
        return made[-1]

    with Client("127.0.0.1:1", channel=api.channel, token=token) as client:
        calls = [call(client.get_video, VIDEO_ID) for _ in range(3)]
        for _ in calls:
            api.refuse("GetVideo", grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
        for _ in calls:
            api.answer("GetVideo", video())
        assert [each.result(60).id for each in calls] == [VIDEO_ID] * 3
        called = call(client.get_video, VIDEO_ID)
        for _ in range(2):
            api.refuse("GetVideo", grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
        with pytest.raises(TokenInvalidError):
            called.result(60)

    assert api.tokens == [f"Bearer token{n}" for n in (0, 0, 0, 1, 1, 1, 1, 2)]


def test_coroutine_function_gives_the_token(api: Api, call: Called) -> None:
    async def token() -> str:
        return "abc"

    with Client("127.0.0.1:1", channel=api.channel, token=token) as client:
        called = call(client.get_video, VIDEO_ID)
        api.answer("GetVideo", video())
        called.result(60)

    assert api.tokens == ["Bearer abc"]


def test_watch_goes_on_after_a_broken_stream(api: Api, client: Client, call: Called) -> None:
    seen = call(lambda: list(client.watch(VIDEO_ID, min_version=2, backoff=0.001)))
    api.stream(code=grpc.StatusCode.UNAVAILABLE)
    api.stream(video(READY, 1), processing(10))
    api.stream(processing(10), processing(70), video(READY, 3))

    assert seen.result(60) == [processing(10), processing(70), video(READY, 3)]


def test_silent_stream_is_opened_again(api: Api, client: Client, call: Called) -> None:
    seen = call(lambda: list(client.watch(VIDEO_ID, idle=0.05, backoff=0.001)))
    silent = api.channel.take_unary_stream(SERVICE.methods_by_name["WatchVideo"])
    api.stream(video(READY, 3))

    assert seen.result(60) == [video(READY, 3)]
    silent[2].cancelled()  # returns when the client has cancelled the stream


def test_watch_ends_with_the_last_failure(api: Api, client: Client, call: Called) -> None:
    seen = call(lambda: list(client.watch(VIDEO_ID, backoff=0.001)))
    for _ in range(MAX_FAILURES):
        api.stream(code=grpc.StatusCode.UNAVAILABLE)

    with pytest.raises(UnreachableError):
        seen.result(60)


def test_wait_returns_the_ready_video(api: Api, client: Client, call: Called) -> None:
    waiting = call(client.wait, VIDEO_ID, min_version=2, timeout=60)
    api.stream(processing(10), video(READY, 3))

    assert waiting.result(60) == video(READY, 3)


@pytest.mark.parametrize("status", [video_pb2.Video.STATUS_FAILED, video_pb2.Video.STATUS_CANCELLED])
def test_wait_raises_what_went_wrong(
    api: Api, client: Client, call: Called, status: video_pb2.Video.Status.ValueType
) -> None:
    waiting = call(client.wait, VIDEO_ID)
    why = video_pb2.ProcessingError(code="SOURCE_NOT_MEDIA", message="Not a video.", retryable=False)
    api.stream(video(status, 3, error=why))

    with pytest.raises(GoStreamError) as caught:
        waiting.result(60)
    assert caught.value.reason in ("SOURCE_NOT_MEDIA", "CANCELLED")
    assert getattr(caught.value, "video") == video(status, 3, error=why)  # noqa: B009


def test_closed_client_refuses_calls(api: Api) -> None:
    client = Client("127.0.0.1:1")
    with pytest.raises(RuntimeError, match="not open"):
        client.get_video(VIDEO_ID)
    with pytest.raises(RuntimeError, match="not open"):
        next(client.watch(VIDEO_ID))
    with client:
        pass
    with pytest.raises(RuntimeError, match="not open"):
        client.get_video(VIDEO_ID)


def test_abandoned_watch_ends_its_stream(api: Api, client: Client, call: Called) -> None:
    states = client.watch(VIDEO_ID)
    ended = threading.Event()
    first = call(next, states)
    _, _, rpc = api.channel.take_unary_stream(SERVICE.methods_by_name["WatchVideo"])
    rpc.send_response(processing(10))
    assert first.result(60) == processing(10)
    states.close()

    def wait_for_the_end() -> None:
        rpc.cancelled()
        ended.set()

    call(wait_for_the_end)

    assert ended.wait(60)
