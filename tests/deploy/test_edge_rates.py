"""deploy/envoy on the real Envoy: the limit of calls for each address."""

import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

from gostream.v1.video_service_pb2 import GetVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_devstack.errors import StackError
from gostream_devstack.host.directories import REPOSITORY
from gostream_devstack.host.wheels import package, program
from gostream_devstack.servers.envoy import Envoy, limit_rate
from tests.deploy.json_edge import ask
from tests.deploy.replica import Replica

pytestmark = pytest.mark.stack

TEMPLATE = REPOSITORY / "deploy/envoy/envoy.yaml"


class Limited(Envoy):
    """An edge with the smallest limit: one call a second, two at once."""

    def environment(self) -> Mapping[str, str]:
        return {
            **super().environment(),
            "EDGE_RATE_PER_ADDRESS": "1",
            "EDGE_CORS_ORIGINS": "https://a.example",
        }


@pytest.fixture
def limited(start_json_edge: Callable[..., Envoy]) -> Envoy:
    return start_json_edge(Replica(), kind=Limited)


def answers(edge: Envoy, count: int, path: str = "/v1/videos/abc") -> list[tuple[int, Any]]:
    return [ask(edge, path)[:2] for _ in range(count)]


def test_calls_of_an_address_are_limited(limited: Envoy) -> None:
    found = answers(limited, 40)

    statuses = Counter(status for status, _ in found)
    assert statuses[200] >= 2
    assert statuses[429] > 0
    refused = next(body for status, body in found if status == 429)
    assert refused == {"code": 8, "message": "local_rate_limited"}


def test_pages_can_read_the_refusal(limited: Envoy) -> None:
    replies = [ask(limited, "/v1/videos/abc", Origin="https://a.example") for _ in range(40)]

    headers = next(headers for status, _, headers in replies if status == 429)
    assert headers["access-control-allow-origin"] == "https://a.example"


def test_health_and_native_grpc_are_not_limited(limited: Envoy) -> None:
    answers(limited, 20)

    assert {ask(limited, "/healthz")[0] for _ in range(20)} == {200}
    with grpc.insecure_channel(f"{limited.host}:{limited.port}") as channel:
        stub: Any = VideoServiceStub(channel)
        for _ in range(20):
            stub.GetVideo(GetVideoRequest(id="abc"), timeout=60)


def test_edge_has_no_limit_by_default(envoy: Envoy) -> None:
    assert {status for status, _ in answers(envoy, 100)} == {200}


def filled(tmp_path: Path, rate: str, *command: str) -> "subprocess.CompletedProcess[str]":
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE.read_text().replace("/etc/envoy/", f"{REPOSITORY / 'protos/gen'}/"))
    start = ["bash", str(REPOSITORY / "deploy/envoy/start.sh"), str(template), str(tmp_path / "filled.yaml")]
    return subprocess.run(
        [*start, *command],
        env={"PATH": os.defpath, "EDGE_RATE_PER_ADDRESS": rate},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_compose_and_devstack_limit_alike(tmp_path: Path) -> None:
    envoy, file = program(package("envoy"), "_bin/envoy"), tmp_path / "filled.yaml"
    done = filled(tmp_path, "500", str(envoy), "--mode", "validate", "-c", str(file), "-l", "warning")

    assert done.returncode == 0, done.stderr
    text = file.read_text()
    assert text == limit_rate((tmp_path / "template.yaml").read_text(), "500")
    assert re.search(r"max_tokens: 1000, tokens_per_fill: 500,", text)
    assert "disabled: false # EDGE_RATE_PER_ADDRESS" in text


@pytest.mark.parametrize("rate", ["0", "-1", "1.5", "many", "1000000", "1; true", "/x/"])
def test_invalid_rates_are_refused(tmp_path: Path, rate: str) -> None:
    done = filled(tmp_path, rate, "true")
    with pytest.raises(StackError) as caught:
        limit_rate(TEMPLATE.read_text(), rate)

    assert (done.returncode, done.stderr.strip()) == (2, str(caught.value))
