"""Requests that the JSON edge refuses, and the format of refusals."""

import http.client
import json
import re
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import pytest
from google.api import annotations_pb2  # type: ignore[import-untyped]
from google.protobuf.descriptor import MethodDescriptor

from gostream.v1 import (
    event_service_pb2,
    track_service_pb2,
    upload_service_pb2,
    video_service_pb2,
    webhook_service_pb2,
)
from gostream.v1.video_pb2 import Video
from gostream_devstack.servers.envoy import Envoy
from tests.deploy.json_edge import ask
from tests.deploy.replica import Replica

pytestmark = pytest.mark.stack

LIMIT = 1024 * 1024
PLAYER = "https://player.example"
JSON = {"Content_Type": "application/json"}
GET = "/gostream.v1.VideoService/GetVideo"


class ForAPlayer(Envoy):
    """A JSON edge that allows one origin."""

    def environment(self) -> Mapping[str, str]:
        return {**super().environment(), "EDGE_CORS_ORIGINS": f"https://other.example,{PLAYER}"}


@pytest.fixture
def replica() -> Replica:
    return Replica()


@pytest.fixture
def envoy(start_json_edge: Callable[..., Envoy], replica: Replica) -> Envoy:
    return start_json_edge(replica)


STRANGERS = ["https://evil.example", "null", "https://player.example.evil.example", "https://playerxexample"]


@pytest.mark.parametrize("origin", [*STRANGERS, "http://player.example", "https://player.example:8443"])
@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
def test_other_origins_are_refused(
    start_json_edge: Callable[..., Envoy], replica: Replica, origin: str, method: str
) -> None:
    envoy = start_json_edge(replica, kind=ForAPlayer)
    asked = {"Origin": origin, "Access_Control_Request_Method": "DELETE"}
    status, error, headers = ask(envoy, "/v1/videos/abc/cancel", method, **asked)
    assert (status, error["code"]) == (403, 7)
    _, _, read = ask(envoy, "/v1/videos/abc", Origin=origin)
    assert not [name for name in (*headers, *read) if name.startswith("access-control")]
    assert replica.calls == ["abc"], "only the read"


def test_allowed_origin_may_call(start_json_edge: Callable[..., Envoy], replica: Replica) -> None:
    envoy = start_json_edge(replica, kind=ForAPlayer)
    asked = {"Origin": PLAYER, "Access_Control_Request_Method": "DELETE"}
    status, _, headers = ask(envoy, "/v1/videos/abc", "OPTIONS", **asked)
    assert (status, headers["access-control-allow-origin"]) == (200, PLAYER)
    assert "DELETE" in headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in headers
    status, _, headers = ask(envoy, "/v1/videos", "POST", {"title": "x"}, Origin=PLAYER, **JSON)
    assert (status, headers["access-control-allow-origin"]) == (200, PLAYER)
    _, _, headers = ask(envoy, "/v1/videos/missing", Origin=PLAYER)
    assert headers["access-control-allow-origin"] == PLAYER, "errors too"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_only_json_bodies_are_accepted(envoy: Envoy, kind: str) -> None:
    status, error, _ = ask(envoy, "/v1/videos", "POST", {"title": "x"}, Content_Type=kind)
    assert (status, error["code"]) == (415, 3)


@pytest.mark.parametrize("body", [b'{"title":"x"}', [b'{"title"', b':"x"}']], ids=["length", "chunks"])
def test_body_requires_a_content_type(envoy: Envoy, body: object) -> None:
    assert ask(envoy, "/v1/videos", "POST", body)[0] == 415


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_content_type_parameters_are_accepted(envoy: Envoy, kind: str) -> None:
    assert ask(envoy, "/v1/videos", "POST", {"title": "x"}, Content_Type=kind)[0] == 200


def test_call_without_body_needs_no_content_type(envoy: Envoy) -> None:
    assert ask(envoy, "/v1/videos/abc/cancel", "POST")[0] == 501, "by the replica, which has no Cancel"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8080", "127.0.0.1.nip.io"])
def test_foreign_host_is_refused(envoy: Envoy, replica: Replica, host: str) -> None:
    status, error, _ = ask(envoy, "/v1/videos/abc", Host=host)
    assert (status, error["code"], replica.calls) == (403, 7, [])


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:65535", "[::1]", "[::1]:8080"])
def test_loopback_hosts_are_accepted(envoy: Envoy, host: str) -> None:
    assert ask(envoy, "/v1/videos/abc", Host=host)[0] == 200


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413)])
def test_body_is_limited_to_one_mebibyte(envoy: Envoy, size: int, status: int) -> None:
    body = b'{"title":"' + b"x" * (size - 12) + b'"}'
    answered, answer, _ = ask(envoy, "/v1/videos", "POST", body, **JSON)
    assert answered == status
    assert status == 200 or answer == {"code": 8, "message": "Payload Too Large"}


def test_endless_body_is_refused_early(envoy: Envoy) -> None:
    with socket.create_connection((envoy.host, envoy.port), timeout=30) as client:
        head = "POST /v1/videos HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        client.sendall(f"{head}content-length: 100000000\r\n\r\n".encode() + b" " * (LIMIT + 4096))
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_oversized_grpc_web_message_is_refused(envoy: Envoy) -> None:
    body = struct.pack(">BI", 0, LIMIT) + b"x" * LIMIT
    kind = {"Content_Type": "application/grpc-web+proto"}
    assert ask(envoy, GET, "POST", body, **kind)[0] == 413


def longest(number: int) -> Video:
    """A video with the longest JSON that the contract allows; a tag character takes 12 bytes."""
    text = "\U000e0041" * 200
    video = Video(id=f"{number:036}", title=text, user_id=text[:128], playback_url="x" * 200)
    for height in range(8):
        video.renditions.add(name=f"{height}p", width=1920, height=1080, codecs="avc1.640028,mp4a.40.2")
    return video


@pytest.mark.parametrize(
    ("target", "count"), [("/v1/videos?page_size=1000", 1000), ("/v1/videos:batchGet?ids=a", 100)]
)
def test_largest_responses_are_delivered(envoy: Envoy, replica: Replica, target: str, count: int) -> None:
    replica.listed = [longest(number) for number in range(count)]
    status, answer, _ = ask(envoy, target)
    assert status == 200
    assert [video["title"] for video in answer["videos"]] == [replica.listed[0].title] * count


def test_largest_page_is_delivered_by_grpc_web(envoy: Envoy, replica: Replica) -> None:
    replica.listed = [longest(number) for number in range(1000)]
    kind = {"Content_Type": "application/grpc-web+proto"}
    status, body, _ = ask(envoy, "/gostream.v1.VideoService/ListVideos", "POST", b"\0\0\0\0\0", **kind)
    (size,) = struct.unpack(">I", body[1:5])
    page = video_service_pb2.ListVideosResponse.FromString(body[5 : 5 + size])
    assert (status, len(page.videos)) == (200, 1000)
    assert b"grpc-status:0" in body[5 + size :]


@pytest.mark.parametrize(
    ("target", "method", "body", "status", "code", "said"),
    [
        ("/", "GET", None, 404, 5, "no such path"),
        ("/v1/elsewhere", "GET", None, 404, 5, "no such path"),
        ("/v1/videos/", "GET", None, 404, 5, "no such path"),
        ("/v1/videos/abc?nonsense=1", "GET", None, 400, 3, "nonsense"),
        ("/v1/videos/abc?min_version=x", "GET", None, 400, 3, "min_version"),
        ("/v1/videos", "POST", b"[]", 400, 3, "Root element must be a message"),
        ("/v1/videos", "POST", b"{", 400, 3, "Unexpected end"),
        ("/v1/videos", "POST", b'{"title":3}', 400, 3, "title"),
        ("/v1/videos/abc", "PUT", b"{}", 405, 12, "GET, PATCH and DELETE only"),
        ("/v1/" + "x" * 70_000, "GET", None, 431, 8, "Too Large"),
    ],
)
def test_refusals_share_one_format(
    envoy: Envoy, target: str, method: str, body: bytes | None, status: int, code: int, said: str
) -> None:
    answered, error, headers = ask(envoy, target, method, body, **JSON)
    assert (answered, headers["content-type"], error["code"]) == (status, "application/json", code)
    assert said in error["message"]
    assert not error["message"].startswith(":")


def _bindings() -> dict[str, set[str]]:
    """Returns the HTTP methods of each path in the contract."""
    found: dict[str, set[str]] = {}
    methods: Sequence[MethodDescriptor] = [
        *video_service_pb2.DESCRIPTOR.services_by_name["VideoService"].methods,
        *upload_service_pb2.DESCRIPTOR.services_by_name["UploadService"].methods,
        *event_service_pb2.DESCRIPTOR.services_by_name["EventService"].methods,
        *webhook_service_pb2.DESCRIPTOR.services_by_name["WebhookService"].methods,
        *track_service_pb2.DESCRIPTOR.services_by_name["TrackService"].methods,
    ]
    for each in methods:
        rule = each.GetOptions().Extensions[annotations_pb2.http]
        verb = rule.WhichOneof("pattern")
        path = re.sub(r"\{((video|webhook)[._]|track\.)?id\}", "abc", getattr(rule, verb))
        found.setdefault(path, set()).add(verb.upper())
    return found


@pytest.mark.parametrize(("path", "allowed"), sorted(_bindings().items()))
def test_405_lists_the_allowed_methods(envoy: Envoy, replica: Replica, path: str, allowed: set[str]) -> None:
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - allowed:
        status, error, headers = ask(envoy, path, method, **JSON)
        assert (method, status) == (method, 405)
        assert set(headers["allow"].split(", ")) == allowed
        assert error is None if method == "HEAD" else error["code"] == 12
    assert replica.calls == []
    replica.finish.set()
    for method in allowed:
        assert ask(envoy, path, method, **JSON)[0] not in (404, 405)


def test_grpc_refusal_is_plain_text(envoy: Envoy) -> None:
    address = f"{envoy.host}:{envoy.port}"
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/nope/x")(b"", timeout=30)  # type: ignore[arg-type]
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert caught.value.details() == "there is no such path or method"


def test_reflection_is_not_exposed(envoy: Envoy) -> None:
    with grpc.insecure_channel(f"{envoy.host}:{envoy.port}") as channel:
        call: Any = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        with pytest.raises(grpc.RpcError) as caught:
            list(call(iter([b""]), timeout=30))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("kind", ["application/json", "application/proto", "application/connect+json"])
def test_connect_protocol_is_refused_with_a_message(envoy: Envoy, kind: str) -> None:
    version = {"Content_Type": kind, "Connect_Protocol_Version": "1"}
    status, error, _ = ask(envoy, GET, "POST", b"{}", **version)
    assert (status, error["code"]) == (415, "unimplemented")
    assert "the Connect protocol is not served" in error["message"]


def test_health_reflects_the_replicas(envoy: Envoy, replica: Replica) -> None:
    assert ask(envoy, "/healthz")[:2] == (200, b"ok\n")
    replica.drain()
    connection = http.client.HTTPConnection(envoy.host, envoy.port, timeout=30)
    while True:  # until Envoy's next health check
        connection.request("GET", "/healthz")
        reply = connection.getresponse()
        body = reply.read()
        if reply.status != 200:
            break
    connection.close()
    assert (reply.status, json.loads(body)["code"]) == (503, 14)


class Impatient(Envoy):
    """A JSON edge with a request timeout of 1 s instead of 30 s."""

    def prepare(self) -> None:
        super().prepare()
        config = self.directory / "envoy.json"
        text = config.read_text()
        assert '"request_timeout": "30s"' in text
        assert '"request_headers_timeout": "10s"' in text
        self.directories.write(config, re.sub(r'("request(_headers)?_timeout"): "\d+s"', r'\1: "1s"', text))


@pytest.mark.parametrize(
    ("path", "rest"),
    [
        ("/v1/videos", ""),
        ("/v1/videos", "content-type: application/json\r\ncontent-length: 9\r\n\r\n{"),
        (GET, "content-type: application/grpc-web\r\ncontent-length: 9\r\n\r\n\0"),
    ],
    ids=["header", "body", "grpc-web"],
)
def test_incomplete_requests_time_out(start_json_edge: Callable[..., Envoy], path: str, rest: str) -> None:
    envoy = start_json_edge(Replica(), kind=Impatient)
    sent = f"POST {path} HTTP/1.1\r\nhost: localhost\r\n{rest}"
    with socket.create_connection((envoy.host, envoy.port), timeout=60) as client:
        client.sendall(sent.encode())
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.slow
def test_stream_outlives_the_request_timeout(start_json_edge: Callable[..., Envoy]) -> None:
    replica = Replica(quiet=3.0)
    envoy = start_json_edge(replica, kind=Impatient)
    status, _, _ = ask(envoy, "/v1/videos/abc:watch")
    assert status == 200
