"""Headers and protocol versions that HTTP allows and gRPC does not, at the JSON edge."""

import socket
from collections.abc import Callable

import pytest

from gostream_devstack.servers.envoy import Envoy
from tests.deploy.json_edge import ask
from tests.deploy.replica import Replica

pytestmark = pytest.mark.stack


@pytest.fixture
def envoy(start_json_edge: Callable[..., Envoy]) -> Envoy:
    return start_json_edge(Replica())


@pytest.mark.parametrize("path", ["/v1/videos/abc", "/v1/videos", "/v1/videos:batchGet?ids=abc"])
def test_headers_that_grpc_cannot_carry_are_dropped(envoy: Envoy, path: str) -> None:
    strange = ["us'kn", "x~y", "x!", "a|b", "x^`", "$%&*+#"]
    for name in strange:
        assert ask(envoy, path, **{name: "1"})[0] == 200, name
    for value in ["!!", "YQ==", "", "\xff"]:
        assert ask(envoy, path, Foo_Bin=value)[0] == 200, value


@pytest.mark.parametrize(
    ("timeout", "status"), [("5S", 200), ("5", 400), ("", 400), ("1 S", 400), ("5s", 400)]
)
def test_malformed_timeout_is_refused(envoy: Envoy, timeout: str, status: int) -> None:
    answered, error, _ = ask(envoy, "/v1/videos/abc", Grpc_Timeout=timeout)

    assert answered == status
    assert answered != 400 or "grpc-timeout" in error["message"]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /v1/videos HTTP/1.0\r\n", 426),
        ("GET /v1/videos HTTP/1.1\r\ntransfer-encoding: gzip\r\n", 501),
    ],
)
def test_other_http_is_refused_in_form(envoy: Envoy, head: str, status: int) -> None:
    with socket.create_connection((envoy.host, envoy.port), timeout=30) as client:
        client.sendall(f"{head}host: localhost\r\n\r\n".encode())
        answer = client.recv(65536).decode()

    assert answer.startswith(f"HTTP/1.1 {status} ")
    assert '"code":12' in answer
