"""deploy/nginx on the real nginx: refused requests, missing objects, origin failures."""

import time
from collections.abc import Callable

import pytest

from gostream_devstack.servers.nginx import Nginx
from tests.deploy.edge import IMMUTABLE, MASTER, PLAYLIST, SECRET, SEGMENT, ShortLived, ask
from tests.deploy.origin import Origin, serving

pytestmark = pytest.mark.stack


# One line per kind: other prefixes, other names, traversal, encoded traversal, injected parts, the rest.
HOSTILE = """
/ /hls/ /hls/a /hls/a/ /hls/a/v2/720p/ /uploads/a/b.ts /videos/hls/a/b.ts /.edge/missing
/hls/a/source.txt /hls/a/b.ts.html /hls/a/.ts /hls/a/.hidden/b.ts /hls/a/b.c.ts /hls/a/b.TS
/hls/../uploads/a/b.ts /hls/a/../../uploads/b.ts /hls/a/..;/b.ts /hls/a/..\\b.ts
/hls/%2e%2e/uploads/b.ts /hls/..%2fa/b.ts /hls/a/%2e%2e%2f%2e%2e%2fuploads/b.ts
/hls/a/b.ts%3fversionId=1 /hls/a/b%00.ts /hls/a/b%0d%0aHost:x.ts /hls/a/b%23.ts /hls/a/b%20c.ts
/hls/a/b/c/d/e/f.ts /hls/%C3%A9/b.ts //evil/hls/a/b.ts/
""".split()  # noqa: SIM905  (a list would take thirty lines)
HOSTILE.append("/hls/" + "a" * 65 + "/b.ts")


def test_other_paths_are_rejected_at_the_edge(edge: Nginx, origin: Origin) -> None:
    targets = HOSTILE + [target.replace(".ts", ".m3u8") for target in HOSTILE if ".ts" in target]
    answers = {target: ask(edge, target).status for target in targets}
    assert {target: status for target, status in answers.items() if status not in (400, 404)} == {}
    assert not origin.seen


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_viewers_cannot_write(edge: Nginx, origin: Origin, method: str) -> None:
    answer = ask(edge, SEGMENT, method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert not origin.seen


def test_preflight_is_answered_at_the_edge(edge: Nginx, origin: Origin) -> None:
    answer = ask(edge, SEGMENT, "OPTIONS", Origin="http://player", Access_Control_Request_Headers="range")
    assert answer.status == 204
    assert "Range" in answer.headers["access-control-allow-headers"]
    assert not origin.seen


@pytest.mark.parametrize(
    ("target", "method", "status", "cache"),
    [
        (SEGMENT, "GET", 200, "MISS"),
        ("/hls/v-1/missing.ts", "GET", 404, "MISS"),
        ("/elsewhere", "GET", 404, "NONE"),
        (SEGMENT, "POST", 405, "NONE"),
        (SEGMENT, "OPTIONS", 204, "NONE"),
        ("/healthz", "GET", 200, "NONE"),
    ],
)
def test_every_response_has_the_common_headers(
    edge: Nginx, target: str, method: str, status: int, cache: str
) -> None:
    answer = ask(edge, target, method)
    assert (answer.status, answer.cache) == (status, cache)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert {"Content-Length", "Content-Range"} <= set(
        answer.headers["access-control-expose-headers"].split(", ")
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == (IMMUTABLE if cache == "MISS" and status == 200 else "no-store")
    assert answer.headers["server"] == "nginx"


def test_missing_object_is_cached_for_one_second(edge: Nginx, origin: Origin) -> None:
    target = "/hls/v-1/v3/720p/late.ts"
    began = time.monotonic()
    answers = [ask(edge, target) for _ in range(5)]
    assert {(answer.status, answer.body) for answer in answers} == {(404, b"not found\n")}
    assert len(origin.seen) <= 2 + int(time.monotonic() - began), "one request per second"
    origin.objects[f"/videos{target}"] = b"here"
    deadline = time.monotonic() + 30
    while ask(edge, target).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("status", [403, 500, 503])
def test_origin_errors_are_not_shown(edge: Nginx, origin: Origin, status: int) -> None:
    origin.status = status
    answer = ask(edge, SEGMENT)
    assert answer.status == (404 if status == 403 else status)
    assert b"secret" not in answer.body
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == "*"


def test_cached_streams_survive_an_origin_outage(origin: Origin, make_edge: Callable[..., Nginx]) -> None:
    gone = Origin(dict(origin.objects))
    with serving(gone):
        edge = make_edge(gone, ShortLived)
        assert ask(edge, MASTER).cache == ask(edge, SEGMENT).cache == "MISS"
    deadline = time.monotonic() + 30
    while (answer := ask(edge, MASTER)).cache != "STALE":
        assert answer.cache in ("HIT", "UPDATING")
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (answer.status, answer.body) == (200, gone.objects[f"/videos{MASTER}"])
    assert ask(edge, SEGMENT).cache == "HIT"
    cold = ask(edge, PLAYLIST)
    assert (cold.status, cold.headers["cache-control"]) == (502, "no-store")
    assert cold.headers["access-control-allow-origin"] == "*"
    failed = ask(edge, MASTER, X_Cache_Refresh=SECRET)
    assert failed.status in (200, 502)
    assert ask(edge, MASTER).status == 200, "a failed refresh must keep the copy"


def test_expired_playlist_is_served_while_revalidating(
    origin: Origin, make_edge: Callable[..., Nginx]
) -> None:
    edge = make_edge(origin, ShortLived)
    ask(edge, MASTER)
    origin.delay = 1.0
    deadline = time.monotonic() + 30
    while (answer := ask(edge, MASTER)).cache == "HIT":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (answer.status, answer.cache) == (200, "STALE")
    while len(origin.seen) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "If-None-Match" in origin.seen[1].headers
