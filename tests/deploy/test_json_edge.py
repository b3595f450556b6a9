"""deploy/envoy on the real Envoy, before small replicas of the service."""

import http.client
import json
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest

from gostream.v1 import video_pb2, video_service_pb2, video_service_pb2_grpc
from gostream_devstack.envoy import Envoy
from gostream_devstack.home import Home
from gostream_devstack.ports import Ports
from tests.deploy.replica import Replica

pytestmark = pytest.mark.stack


@pytest.fixture
def start(home: Home) -> Iterator[Callable[..., Envoy]]:
    """A function that starts these replicas, and an Envoy that knows them."""
    with ExitStack() as running:

        def start(*replicas: Replica) -> Envoy:
            for replica in replicas:
                running.enter_context(replica.answering())
            ports = Ports({})
            envoy = Envoy(home, ports.pick("edge"), ports.pick("admin"), [each.port for each in replicas])
            running.callback(envoy.stop)
            envoy.start()
            envoy.wait_for_apis()
            return envoy

        yield start


@pytest.fixture
def envoy(start: Callable[..., Envoy]) -> Envoy:
    return start(Replica())


def ask(
    envoy: Envoy, target: str, method: str = "GET", body: object = None, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """Status, decoded JSON and headers."""
    connection = http.client.HTTPConnection(envoy.host, envoy.port, timeout=30)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, target, None if body is None else json.dumps(body), names)
        reply = connection.getresponse()
        text = reply.read()
        return reply.status, json.loads(text) if text else None, dict(reply.getheaders())
    finally:
        connection.close()


def test_a_video_as_json(envoy: Envoy) -> None:
    status, video, _ = ask(envoy, "/v1/videos/abc")
    assert status == 200
    assert (video["id"], video["status"], video["version"]) == ("abc", "STATUS_READY", "7")
    assert video["user_id"] == "", "names as in the contract; empty fields are there"


def test_a_body_becomes_the_request(envoy: Envoy) -> None:
    status, answer, _ = ask(
        envoy, "/v1/videos", "POST", {"title": "Holiday", "size_bytes": 4}, Content_Type="application/json"
    )
    assert (status, answer["video"]["title"]) == (200, "Holiday")


def test_an_error_keeps_its_reason(envoy: Envoy) -> None:
    status, error, headers = ask(envoy, "/v1/videos/missing")
    assert (status, headers["content-type"]) == (404, "application/json")
    assert (error["code"], error["message"]) == (5, "no such video")
    assert error["details"][0]["reason"] == "VIDEO_NOT_FOUND"


@pytest.mark.parametrize(
    ("target", "status"),
    [("/", 404), ("/v1/elsewhere", 404), ("/v1/videos/abc?nonsense=1", 400)],
)
def test_what_the_contract_does_not_know_is_refused_as_json(envoy: Envoy, target: str, status: int) -> None:
    answered, error, headers = ask(envoy, target)
    assert (answered, headers["content-type"]) == (status, "application/json")
    assert error["code"] == status
    assert error["message"]


def test_any_page_may_call(envoy: Envoy) -> None:
    asked = {"Origin": "https://player.example", "Access_Control_Request_Method": "PATCH"}
    status, _, headers = ask(envoy, "/v1/videos/abc", "OPTIONS", **asked)
    assert (status, headers["access-control-allow-origin"]) == (200, "https://player.example")
    assert "PATCH" in headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in headers
    _, _, headers = ask(envoy, "/v1/videos/missing", Origin="https://player.example")
    assert headers["access-control-allow-origin"] == "https://player.example", "errors too"


def test_changes_stream_as_lines_while_they_happen(start: Callable[..., Envoy]) -> None:
    replica = Replica()
    envoy = start(replica)
    connection = http.client.HTTPConnection(envoy.host, envoy.port, timeout=30)
    try:
        connection.request("GET", "/v1/videos/abc:watch")
        reply = connection.getresponse()
        assert json.loads(reply.readline())["version"] == "1", "before the stream ends"
        replica.finish.set()
        assert json.loads(reply.readline())["version"] == "2"
        assert reply.read() == b""
    finally:
        connection.close()


def test_native_grpc_passes_through(envoy: Envoy) -> None:
    with grpc.insecure_channel(f"{envoy.host}:{envoy.port}") as channel:
        stub = video_service_pb2_grpc.VideoServiceStub(channel)
        assert stub.GetVideo(video_service_pb2.GetVideoRequest(id="abc"), timeout=30).version == 7


def test_grpc_web_passes_through(envoy: Envoy) -> None:
    message = video_service_pb2.GetVideoRequest(id="abc").SerializeToString()
    connection = http.client.HTTPConnection(envoy.host, envoy.port, timeout=30)
    try:
        headers = {"Content-Type": "application/grpc-web+proto", "X-Grpc-Web": "1"}
        frame = struct.pack(">BI", 0, len(message)) + message
        connection.request("POST", "/gostream.v1.VideoService/GetVideo", frame, headers)
        body = connection.getresponse().read()
    finally:
        connection.close()
    (size,) = struct.unpack(">I", body[1:5])
    assert video_pb2.Video.FromString(body[5 : 5 + size]).version == 7
    assert b"grpc-status:0" in body[5 + size :]


def test_a_read_is_repeated_on_another_replica_and_a_write_is_not(start: Callable[..., Envoy]) -> None:
    replicas = [Replica(refuse=True), Replica()]
    envoy = start(*replicas)
    assert {ask(envoy, f"/v1/videos/read-{number}")[0] for number in range(20)} == {200}
    assert replicas[0].calls, "the refusing one was asked as well"
    for replica in replicas:
        replica.calls.clear()
    assert ask(envoy, "/v1/videos/abc", "DELETE")[0] == 503
    assert sum(len(replica.calls) for replica in replicas) == 1


def test_a_draining_replica_gets_no_new_calls(start: Callable[..., Envoy]) -> None:
    draining, other = Replica(), Replica()
    envoy = start(draining, other)
    draining.drain()
    deadline = time.monotonic() + 30
    quiet = 0
    while quiet < 30:  # the health check takes a moment; from then on every call goes to the other one
        assert time.monotonic() < deadline
        before = len(draining.calls)
        assert ask(envoy, "/v1/videos/abc")[0] == 200
        quiet = quiet + 1 if len(draining.calls) == before else 0


def test_without_a_healthy_replica_it_says_so_at_once(start: Callable[..., Envoy]) -> None:
    replica = Replica()
    envoy = start(replica)
    replica.drain()
    deadline = time.monotonic() + 30
    while (answer := ask(envoy, "/v1/videos/abc"))[0] == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    status, error, headers = answer
    assert (status, headers["content-type"]) == (503, "application/json")
    assert error["code"] == 503
