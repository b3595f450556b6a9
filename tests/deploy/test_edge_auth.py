"""Envoy refuses JSON and gRPC-Web without a good token, before it reads the body."""

import http.client
import http.server
import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from gostream_devstack.host.wheels import package, program
from gostream_devstack.servers.envoy import FILES, Envoy, edge_auth, require_tokens
from tests.deploy.json_edge import ask
from tests.deploy.replica import Replica
from tests.trust.tokens import AUDIENCE, ISSUER, all_keys, signed

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "deploy/envoy/envoy.yaml"
PLAYER = "https://player.example"
JSON = {"Content_Type": "application/json"}
WEB = {"Content_Type": "application/grpc-web+proto"}
GET = "/gostream.v1.VideoService/GetVideo"
CHALLENGE = 'Bearer realm="gostream"'
REFUSAL = {
    "code": 16,
    "message": "the call needs a valid token",
    "details": [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "TOKEN_INVALID",
            "domain": "gostream",
            "metadata": {},
        }
    ],
}


@pytest.fixture(scope="module")
def issuers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An issuers file with a file of keys."""
    folder = tmp_path_factory.mktemp("issuers")
    (folder / "jwks.json").write_bytes(all_keys())
    entry = {"alias": "corp", "issuer": ISSUER, "audiences": [AUDIENCE], "jwks_file": "jwks.json"}
    path = folder / "issuers.yaml"
    path.write_text(yaml.safe_dump([entry]))
    return path


@pytest.fixture
def replica() -> Replica:
    return Replica()


@pytest.fixture
def envoy(start_json_edge: Callable[..., Envoy], replica: Replica, issuers: Path) -> Envoy:
    class Guarded(Envoy):
        """An edge for callers with tokens."""

        def environment(self) -> Mapping[str, str]:
            return {**super().environment(), "EDGE_CORS_ORIGINS": PLAYER}

    Guarded.issuers = issuers
    return start_json_edge(replica, kind=Guarded)


def test_body_without_a_token_is_not_read(envoy: Envoy, replica: Replica) -> None:
    with socket.create_connection((envoy.host, envoy.port), timeout=30) as client:
        head = "POST /v1/videos HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        client.sendall(f"{head}content-length: 900000\r\n\r\n".encode())  # and no body follows
        reply = http.client.HTTPResponse(client)
        reply.begin()
        status, body = reply.status, json.loads(reply.read())
    assert (status, body, reply.headers["www-authenticate"]) == (401, REFUSAL, CHALLENGE)
    assert replica.calls == []


@pytest.mark.parametrize(
    "changes", [{"aud": "other"}, {"iss": "https://other.test"}, {"exp": 1}], ids=["aud", "iss", "exp"]
)
@pytest.mark.parametrize("kind", [JSON, WEB], ids=["JSON", "gRPC-Web"])
def test_bad_token_is_refused_by_the_edge(
    envoy: Envoy, replica: Replica, kind: dict[str, str], changes: dict[str, Any]
) -> None:
    shown = {"Authorization": f"Bearer {signed(**changes)}", **kind}
    method, target = ("GET", "/v1/videos/abc") if kind is JSON else ("POST", GET)
    status, body, headers = ask(envoy, target, method, b"\0\0\0\0\0" if kind is WEB else None, **shown)
    assert (status, body, headers["www-authenticate"]) == (401, REFUSAL, CHALLENGE)
    assert headers.get("grpc-status") == ("16" if kind is WEB else None)
    assert replica.calls == []


def test_token_in_the_query_does_not_count(envoy: Envoy) -> None:
    assert ask(envoy, f"/v1/videos/abc?access_token={signed()}")[0] == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_good_token_passes_to_the_api(envoy: Envoy, replica: Replica, scheme: str) -> None:
    assert ask(envoy, "/v1/videos/abc", Authorization=f"{scheme} {signed()}")[0] == 200
    assert ask(envoy, GET, "POST", b"\0\0\0\0\0", Authorization=f"{scheme} {signed()}", **WEB)[0] == 200
    assert replica.calls == ["abc", ""]


def test_preflight_and_health_need_no_token(envoy: Envoy) -> None:
    asked = {"Origin": PLAYER, "Access_Control_Request_Method": "DELETE"}
    status, _, headers = ask(envoy, "/v1/videos/abc", "OPTIONS", **asked)
    assert (status, headers["access-control-allow-origin"]) == (200, PLAYER)
    assert ask(envoy, "/healthz")[0] == 200
    status, _, headers = ask(envoy, "/v1/videos/abc", Origin=PLAYER)
    assert (status, headers["access-control-allow-origin"]) == (401, PLAYER), "pages can read the refusal"


def test_other_refusals_keep_their_codes(envoy: Envoy) -> None:
    assert ask(envoy, "/v1/videos/abc", Host="evil.example")[:2] == (
        403,
        {"code": 7, "message": "this edge answers for localhost only"},
    )
    assert ask(envoy, "/nowhere")[0] == 404


class Keys(http.server.BaseHTTPRequestHandler):
    """A website of keys."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(all_keys())

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_keys_are_fetched_by_url(start_json_edge: Callable[..., Envoy], tmp_path: Path, up: bool) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys) as website:
        url = f"http://127.0.0.1:{website.server_port if up else 1}/keys"
        entry = {"alias": "web", "issuer": ISSUER, "audiences": [AUDIENCE], "jwks_url": url}
        path = tmp_path / "issuers.yaml"
        path.write_text(yaml.safe_dump([entry]))
        threading.Thread(target=website.serve_forever, daemon=True).start()
        envoy = start_json_edge(Replica(), kind=type("Guarded", (Envoy,), {"issuers": path}))
        status, _, _ = ask(envoy, "/v1/videos/abc", Authorization=f"Bearer {signed()}")
        website.shutdown()
    assert status == (200 if up else 401), "an issuer that is down stops no start"


@pytest.mark.parametrize("keys", ["file", "https", "http"])
def test_compose_and_devstack_require_tokens_alike(tmp_path: Path, issuers: Path, keys: str) -> None:
    given = issuers
    if keys != "file":
        given = tmp_path / "issuers.yaml"
        url = {"https": "https://login.example.org/keys", "http": "http://127.0.0.1:1/keys"}[keys]
        entries = yaml.safe_load(issuers.read_text())
        other = {"alias": "web", "issuer": "https://web.test", "audiences": ["a"], "jwks_url": url}
        entries[0]["jwks_file"] = str(issuers.parent / "jwks.json")
        given.write_text(yaml.safe_dump([*entries, other]))
    text = TEMPLATE.read_text()
    for name in FILES:
        text = text.replace(f"/etc/envoy/{name}", str(ROOT / "protos/gen" / name))
    template, filled, parts = tmp_path / "template.yaml", tmp_path / "filled.yaml", tmp_path / "parts"
    template.write_text(text)
    parts.write_text(edge_auth(given))
    envoy = program(package("envoy"), "_bin/envoy")
    command: list[str | Path] = ["bash", ROOT / "deploy/envoy/start.sh", template, filled]
    done = subprocess.run(
        [*command, envoy, "--mode", "validate", "-c", filled, "-l", "warning"],
        env={"PATH": os.defpath, "EDGE_AUTH_FILE": str(parts)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert filled.read_text() == require_tokens(template.read_text(), parts.read_text())
