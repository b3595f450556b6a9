"""deploy/envoy on the real Envoy, in front of small replicas of the service."""

import http.client
import json
import struct
import time
from collections.abc import Callable

import grpc
import pytest

from gostream.v1 import video_pb2, video_service_pb2, video_service_pb2_grpc
from gostream_devstack.servers.envoy import Envoy
from tests.deploy.json_edge import ask
from tests.deploy.replica import Replica

pytestmark = pytest.mark.stack


def test_video_is_returned_as_json(envoy: Envoy) -> None:
    status, video, _ = ask(envoy, "/v1/videos/abc")
    assert status == 200
    assert (video["id"], video["status"], video["version"]) == ("abc", "STATUS_READY", "7")
    assert video["user_id"] == "", "field names of the contract, including empty fields"


def test_json_body_becomes_the_request(envoy: Envoy) -> None:
    status, answer, _ = ask(
        envoy, "/v1/videos", "POST", {"title": "Holiday", "size_bytes": 4}, Content_Type="application/json"
    )
    assert (status, answer["video"]["title"]) == (200, "Holiday")


def test_error_keeps_its_reason(envoy: Envoy) -> None:
    status, error, headers = ask(envoy, "/v1/videos/missing")
    assert (status, headers["content-type"]) == (404, "application/json")
    assert (error["code"], error["message"]) == (5, "no such video")
    assert error["details"][0]["reason"] == "VIDEO_NOT_FOUND"


def test_changes_stream_as_json_lines(start_json_edge: Callable[..., Envoy]) -> None:
    replica = Replica()
    envoy = start_json_edge(replica)
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


def web(envoy: Envoy, method: str, message: bytes) -> bytes:
    """Calls by gRPC-Web. Returns the body of the reply."""
    connection = http.client.HTTPConnection(envoy.host, envoy.port, timeout=30)
    try:
        headers = {"Content-Type": "application/grpc-web+proto", "X-Grpc-Web": "1"}
        frame = struct.pack(">BI", 0, len(message)) + message
        connection.request("POST", f"/gostream.v1.VideoService/{method}", frame, headers)
        return connection.getresponse().read()
    finally:
        connection.close()


def test_grpc_web_passes_through(envoy: Envoy) -> None:
    body = web(envoy, "GetVideo", video_service_pb2.GetVideoRequest(id="abc").SerializeToString())
    (size,) = struct.unpack(">I", body[1:5])
    assert video_pb2.Video.FromString(body[5 : 5 + size]).version == 7
    assert b"grpc-status:0" in body[5 + size :]


def test_only_reads_go_to_the_read_port(start_json_edge: Callable[..., Envoy]) -> None:
    api = Replica(reads=Replica())
    api.finish.set()
    envoy = start_json_edge(api)
    get = video_service_pb2.GetVideoRequest(id="get")
    batch = video_service_pb2.BatchGetVideosRequest(ids=["batch"])

    with grpc.insecure_channel(f"{envoy.host}:{envoy.port}") as channel:
        stub = video_service_pb2_grpc.VideoServiceStub(channel)
        stub.GetVideo(get, timeout=30)
        stub.BatchGetVideos(batch, timeout=30)
        stub.ListVideos(video_service_pb2.ListVideosRequest(), timeout=30)
        stub.CreateVideo(video_service_pb2.CreateVideoRequest(), timeout=30)
        list(stub.WatchVideo(video_service_pb2.WatchVideoRequest(), timeout=30))
    web(envoy, "GetVideo", get.SerializeToString())
    web(envoy, "BatchGetVideos", batch.SerializeToString())
    web(envoy, "ListVideos", b"")
    for path in ("/get", ":batchGet?ids=batch", "", "/x:watch"):
        assert ask(envoy, f"/v1/videos{path}")[0] == 200

    assert api.reads
    assert api.reads.calls == ["get", "batch"] * 3
    assert api.calls == ["list", "create", "watch", "list", "list", "watch"]


def test_reads_are_retried_and_writes_are_not(
    start_json_edge: Callable[..., Envoy],
) -> None:
    replicas = [Replica(refuse=True), Replica()]
    envoy = start_json_edge(*replicas)
    assert {ask(envoy, f"/v1/videos/read-{number}")[0] for number in range(20)} == {200}
    assert replicas[0].calls, "the refusing replica must have been called"
    for replica in replicas:
        replica.calls.clear()
    assert ask(envoy, "/v1/videos/abc", "DELETE")[0] == 503
    assert sum(len(replica.calls) for replica in replicas) == 1


def test_draining_replica_gets_no_new_reads(start_json_edge: Callable[..., Envoy]) -> None:
    draining, other = Replica(), Replica()
    envoy = start_json_edge(Replica(reads=draining), other)
    draining_api, _ = envoy.replicas
    assert isinstance(draining_api, Replica)
    draining_api.drain()  # only the gRPC server has a health check
    deadline = time.monotonic() + 30
    quiet = 0
    while quiet < 30:  # after Envoy's next health check every call goes to the other replica
        assert time.monotonic() < deadline
        before = len(draining.calls)
        assert ask(envoy, "/v1/videos/abc")[0] == 200
        quiet = quiet + 1 if len(draining.calls) == before else 0


def test_call_fails_fast_without_healthy_replicas(start_json_edge: Callable[..., Envoy]) -> None:
    replica = Replica()
    envoy = start_json_edge(replica)
    replica.drain()
    deadline = time.monotonic() + 30
    while (answer := ask(envoy, "/v1/videos/abc"))[0] == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    status, error, headers = answer
    assert (status, headers["content-type"]) == (503, "application/json")
    assert error == {"code": 14, "message": "no healthy upstream"}
