"""deploy/nginx on the real nginx: response headers for every status."""

import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from gostream_devstack.servers.nginx import Nginx
from tests.deploy.edge import MASTER, PLAYLIST, SEGMENT, ask, varied
from tests.deploy.origin import Origin

pytestmark = pytest.mark.stack

HOST = "Host: edge\r\nConnection: close\r\n"
LONG = "x" * 40_000
# Each header occurs once for every status, Cache-Control too except for 416 (see below).
ONCE = {
    "x-cache-status",
    "x-content-type-options",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
    "access-control-max-age",
    "cross-origin-resource-policy",
    "timing-allow-origin",
}
ANSWERS = [
    (200, f"GET {SEGMENT} HTTP/1.1\r\n{HOST}\r\n"),
    (200, f"GET /healthz HTTP/1.1\r\n{HOST}\r\n"),
    (204, f"OPTIONS {SEGMENT} HTTP/1.1\r\n{HOST}\r\n"),
    (206, f"GET {SEGMENT} HTTP/1.1\r\n{HOST}Range: bytes=0-9\r\n\r\n"),
    (304, f"GET {SEGMENT} HTTP/1.1\r\n{HOST}If-None-Match: *\r\n\r\n"),
    (400, "NONSENSE\r\n\r\n"),
    (400, f"GET {SEGMENT} HTTP/1.1\r\n\r\n"),
    (400, f"GET / HTTP/1.1\r\n{HOST}X: {LONG}\r\n\r\n"),
    (404, f"GET /hls/v-1/missing.ts HTTP/1.1\r\n{HOST}\r\n"),
    (404, f"GET /elsewhere HTTP/1.1\r\n{HOST}\r\n"),
    (405, f"POST {SEGMENT} HTTP/1.1\r\n{HOST}Content-Length: 0\r\n\r\n"),
    (405, f"TRACE {SEGMENT} HTTP/1.1\r\n{HOST}\r\n"),
    (412, f'GET {SEGMENT} HTTP/1.1\r\n{HOST}If-Match: "other"\r\n\r\n'),
    (413, f"GET {SEGMENT} HTTP/1.1\r\n{HOST}Content-Length: 5000\r\n\r\n"),
    (414, f"GET /{LONG} HTTP/1.1\r\n{HOST}\r\n"),
    (416, f"GET {SEGMENT} HTTP/1.1\r\n{HOST}Range: bytes=99999999-\r\n\r\n"),
    (416, f"GET {MASTER} HTTP/1.1\r\n{HOST}Range: bytes=99999999-\r\n\r\n"),
    (501, f"GET {SEGMENT} HTTP/1.1\r\n{HOST}Transfer-Encoding: other\r\n\r\n"),
    (505, f"GET {SEGMENT} HTTP/9.9\r\n{HOST}\r\n"),
]


def _headers(edge: Nginx, request: str) -> tuple[int, list[tuple[str, str]]]:
    """Returns the status and the raw header lines."""
    with socket.create_connection((edge.host, edge.port), timeout=30) as client:
        client.sendall(request.encode())
        answer = b""
        while b"\r\n\r\n" not in answer and (part := client.recv(65536)):
            answer += part
    first, *lines = answer.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    pairs = [line.split(": ", 1) for line in lines]
    return int(first.split()[1]), [(name.lower(), value) for name, value in pairs]


def _check(status: int, headers: list[tuple[str, str]]) -> None:
    count = Counter(name for name, _ in headers)
    assert {name for name in ONCE if count[name] != 1} == set()
    kept = [value for name, value in headers if name == "cache-control"]
    assert "no-store" in kept if status >= 400 or status == 204 else len(kept) == 1
    assert status == 416 or len(kept) == 1
    assert dict(headers)["timing-allow-origin"] == "*"
    assert dict(headers)["cross-origin-resource-policy"] == "cross-origin"
    assert not [value for name, value in headers if name == "set-cookie"]


@pytest.mark.parametrize(("status", "request_"), ANSWERS, ids=lambda each: str(each)[:40])
def test_every_status_has_each_header_once(edge: Nginx, status: int, request_: str) -> None:
    answered, headers = _headers(edge, request_)
    assert answered == status
    _check(status, headers)


@pytest.mark.parametrize("status", [403, 500, 502, 503, 504])
def test_origin_errors_have_each_header_once(edge: Nginx, origin: Origin, status: int) -> None:
    origin.status = status
    answered, headers = _headers(edge, f"GET {SEGMENT} HTTP/1.1\r\n{HOST}\r\n")
    assert answered == (404 if status == 403 else status)
    _check(answered, headers)


def test_a_busy_address_gets_429(origin: Origin, make_edge: Callable[..., Nginx]) -> None:
    edge = make_edge(origin, varied(EDGE_CONNECTIONS_PER_ADDRESS="2"))
    origin.delay = 1.0
    with ThreadPoolExecutor(6) as pool:
        requests = [f"GET {path} HTTP/1.1\r\n{HOST}\r\n" for path in (MASTER, PLAYLIST, SEGMENT) * 2]
        answers = list(pool.map(lambda each: _headers(edge, each), requests))
    refused = [headers for status, headers in answers if status == 429]
    assert refused
    assert {status for status, _ in answers} == {200, 429}
    for headers in refused:
        _check(429, headers)
        assert dict(headers)["retry-after"] == "1"


def test_cors_allows_the_headers_players_use(edge: Nginx) -> None:
    asked = "cmcd-object,cmcd-request,cmcd-session,cmcd-status,range"
    headers = {"Origin": "https://player", "Access_Control_Request_Headers": asked}
    answer = ask(edge, SEGMENT, "OPTIONS", **headers)
    assert set(asked.split(",")) <= set(answer.headers["access-control-allow-headers"].lower().split(", "))
    readable = set(ask(edge, SEGMENT).headers["access-control-expose-headers"].lower().split(", "))
    assert {"date", "content-length", "content-range", "x-cache-status"} <= readable


NAMED = "attachment; filename=\"Cafe.mp4\"; filename*=UTF-8''Caf%C3%A9.mp4"
DOWNLOAD = "/hls/v-1/v2/download-highest.mp4"


def test_downloads_keep_their_file_name(edge: Nginx, origin: Origin) -> None:
    origin.extra_headers["Content-Disposition"] = NAMED
    origin.objects[f"/videos{DOWNLOAD}"] = bytes(range(100))

    fetched, again = ask(edge, DOWNLOAD), ask(edge, DOWNLOAD)
    part = ask(edge, DOWNLOAD, Range="bytes=90-")

    assert [answer.cache for answer in (fetched, again, part)] == ["MISS", "HIT", "HIT"]
    assert {answer.headers["content-disposition"] for answer in (fetched, again, part)} == {NAMED}
    assert (part.status, part.body) == (206, bytes(range(90, 100)))
    assert part.headers["content-range"] == "bytes 90-99/100"


@pytest.mark.parametrize(
    "target",
    [
        SEGMENT,
        PLAYLIST,
        MASTER,
        "/hls/v-1/download-highest.mp4",
        "/hls/v-1/v2/720p/download-highest.mp4",
        "/hls/v-1/v2/download-missing.mp4",
    ],
)
def test_other_objects_have_no_file_name(edge: Nginx, origin: Origin, target: str) -> None:
    origin.extra_headers["Content-Disposition"] = NAMED
    if "missing" not in target:
        origin.objects.setdefault(f"/videos{target}", b"x")

    assert "content-disposition" not in ask(edge, target).headers
