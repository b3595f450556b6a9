"""deploy/nginx on the real nginx: cached paths, lifetimes, refresh permission."""

import gzip
import json
import re
import resource
import select
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import inf
from time import monotonic, sleep
from typing import Any

import aioboto3
import pytest

from gostream_devstack.fixtures import Bucket
from gostream_devstack.host.directories import REPOSITORY
from gostream_devstack.servers.nginx import Nginx
from gostream_devstack.servers.seaweedfs import SeaweedFS
from tests.deploy.edge import IMMUTABLE, MASTER, PLAYLIST, SECRET, SEGMENT, ForOthers, ask, ask_from_many
from tests.deploy.origin import Origin

pytestmark = pytest.mark.stack


async def test_edge_serves_streams_from_the_store(
    object_store_server: SeaweedFS, bucket: Bucket, make_edge: Callable[..., Nginx]
) -> None:
    store = object_store_server
    video = bucket.prefix.rstrip("/")
    await _put(store, f"hls/{video}/master.m3u8", b"#EXTM3U\n", "application/vnd.apple.mpegurl")
    await _put(store, f"hls/{video}/v1/720p/seg_00001.ts", b"\x47" * 188_000, "video/mp2t")
    await _put(store, f"uploads/{video}/source.ts", b"private", "video/mp2t")
    await _put(store, f"hls/{video}/v1/storyboard.vtt", b"WEBVTT\n", "text/vtt")
    await _put(store, f"hls/{video}/v1/storyboard.jpg", b"\xff\xd8", "image/jpeg")
    await _put(store, f"hls/{video}/v1/preview.webp", b"RIFF", "image/webp")
    await _put(store, f"gate/{video}/public", b"", "text/plain")
    edge = make_edge(Origin(port=store.port, secret=store.edge_secret))
    await _put(store, f"hls/{video}/v1/early-720p.m3u8", b"#EXTM3U\n", "application/vnd.apple.mpegurl")
    for target, kind, keep, fresh in (
        (f"/hls/{video}/v1/early-720p.m3u8", "application/vnd.apple.mpegurl", "public, max-age=1", 1),
        (f"/hls/{video}/master.m3u8", "application/vnd.apple.mpegurl", "public, max-age=60", inf),
        (f"/hls/{video}/v1/720p/seg_00001.ts", "video/mp2t", IMMUTABLE, inf),
        (f"/hls/{video}/v1/storyboard.vtt", "text/vtt", IMMUTABLE, inf),
        (f"/hls/{video}/v1/storyboard.jpg", "image/jpeg", IMMUTABLE, inf),
        (f"/hls/{video}/v1/preview.webp", "image/webp", IMMUTABLE, inf),
    ):
        began = monotonic()
        first, second = ask(edge, target), ask(edge, target)
        assert (first.status, first.cache, second.status) == (200, "MISS", 200)
        assert second.cache == "HIT" or monotonic() - began >= fresh
        assert first.body == second.body
        assert second.headers["content-type"] == kind
        assert second.headers["cache-control"] == keep
        assert ask(edge, target, If_None_Match=second.headers["etag"]).status == 304
        leaked = {name for name in first.headers if name.startswith(("x-amz", "seaweed"))}
        assert not leaked
    part = ask(edge, f"/hls/{video}/v1/720p/seg_00001.ts", Range="bytes=-188")
    assert (part.status, len(part.body)) == (206, 188)
    assert ask(edge, f"/hls/{video}/missing.m3u8").status == 404
    assert ask(edge, f"/hls/{video}/../../uploads/{video}/source.ts").status == 404


async def _put(store: SeaweedFS, key: str, body: bytes, content_type: str) -> None:
    client: Any = aioboto3.Session().client(
        "s3",
        endpoint_url=store.endpoint_url,
        region_name=store.region,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
    )
    async with client as s3:
        await s3.put_object(
            Bucket=store.bucket,
            Key=key,
            Body=body,
            ContentType=content_type,
            CacheControl="private, max-age=1",
            Metadata={"sha256": "abc"},
        )


def test_query_string_is_ignored_and_not_forwarded(edge: Nginx, origin: Origin) -> None:
    poison = ask(edge, SEGMENT + "?response-content-type=text/html&x=1")
    clean = ask(edge, SEGMENT)
    assert (poison.cache, clean.cache) == ("MISS", "HIT")
    assert [request.target for request in origin.seen] == [f"/videos{SEGMENT}"]


def test_client_headers_are_not_forwarded(edge: Nginx, origin: Origin) -> None:
    origin.extra_headers = {
        "Set-Cookie": "a=b",
        "Cache-Control": "private",
        "X-Amz-Request-Id": "1",
        "Vary": "*",
    }
    answer = ask(edge, SEGMENT, Authorization="secret", Cookie="c", X_Forwarded_For="1", Range="bytes=0-1")
    [seen] = origin.seen
    assert {name.lower() for name in seen.headers} <= {"host"}
    assert answer.status == 206
    assert not {"set-cookie", "x-amz-request-id", "vary"} & set(answer.headers)
    assert answer.headers["cache-control"] == IMMUTABLE
    assert ask(edge, SEGMENT).cache == "HIT", "independent of the origin's Cache-Control"


@pytest.mark.parametrize("slow", [0.0, 0.4])
def test_concurrent_misses_cost_one_origin_request(edge: Nginx, origin: Origin, slow: float) -> None:
    origin.delay = slow
    with ThreadPoolExecutor(60) as clients:
        answers = list(clients.map(lambda _: ask(edge, SEGMENT), range(60)))
    assert {answer.status for answer in answers} == {200}
    assert sorted(answer.cache for answer in answers).count("MISS") == 1
    assert len(origin.seen) == 1


@pytest.fixture
def many_files() -> Iterator[None]:
    """Allows this process 4,096 open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_1000_cold_viewers_cost_one_fetch(edge: Nginx, origin: Origin) -> None:
    origin.gate.clear()
    answers = ask_from_many(edge, SEGMENT, 1000, when_sent=origin.gate.set)
    assert [answer.status for answer in answers] == [200] * 1000
    assert {answer.body for answer in answers} == {origin.objects[f"/videos{SEGMENT}"]}
    assert [answer.cache for answer in answers].count("MISS") == 1
    assert [seen.target for seen in origin.seen] == [f"/videos{SEGMENT}"]


def test_head_request_fills_the_cache(edge: Nginx, origin: Origin) -> None:
    head = ask(edge, SEGMENT, "HEAD")
    assert (head.status, head.cache, head.body) == (200, "MISS", b"")
    assert int(head.headers["content-length"]) == len(ask(edge, SEGMENT).body)
    assert [request.method for request in origin.seen] == ["GET"]


@pytest.mark.parametrize("state", ["cold", "cached"])
def test_byte_ranges_are_served(edge: Nginx, origin: Origin, state: str) -> None:
    whole = origin.objects[f"/videos{SEGMENT}"]
    if state == "cached":
        ask(edge, SEGMENT)
    part = ask(edge, SEGMENT, Range="bytes=100-199")
    assert (part.status, part.body) == (206, whole[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert ask(edge, SEGMENT, Range="bytes=-10").body == whole[-10:]
    assert ask(edge, SEGMENT, Range=f"bytes={len(whole)}-").status == 416
    assert ask(edge, SEGMENT).body == whole
    assert len(origin.seen) == 1, "the first request must fetch the complete object"


@pytest.mark.parametrize("state", ["cold", "cached"])
def test_matching_etag_gets_304(edge: Nginx, state: str) -> None:
    etag = ask(edge, PLAYLIST).headers["etag"]
    if state == "cold":
        edge.stop()
        for cached in (edge.directory / "cache").rglob("*"):
            cached.unlink() if cached.is_file() else None
        edge.start()
    answer = ask(edge, PLAYLIST, If_None_Match=etag)
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["cache-control"] == IMMUTABLE
    assert answer.headers["access-control-allow-origin"] == "*"


def test_cache_survives_a_restart(edge: Nginx, origin: Origin) -> None:
    ask(edge, SEGMENT)
    edge.stop()
    edge.start()
    assert ask(edge, SEGMENT).cache == "HIT"
    assert len(origin.seen) == 1


def test_playlists_are_compressed_and_segments_are_not(edge: Nginx, origin: Origin) -> None:
    playlist = ask(edge, PLAYLIST, Accept_Encoding="gzip")
    assert gzip.decompress(playlist.body) == origin.objects[f"/videos{PLAYLIST}"]
    assert playlist.headers["vary"] == "Accept-Encoding"
    assert ask(edge, PLAYLIST).body == origin.objects[f"/videos{PLAYLIST}"]
    assert "content-encoding" not in ask(edge, SEGMENT, Accept_Encoding="gzip").headers


def test_worker_refreshes_the_cached_master(edge: Nginx, origin: Origin) -> None:
    every_worker = range(40)  # has the file open
    ask(edge, MASTER)
    origin.objects[f"/videos{MASTER}"] = b"#EXTM3U\n#new\n"
    assert {ask(edge, MASTER).cache for _ in every_worker} == {"HIT"}
    assert b"new" not in ask(edge, MASTER).body
    refreshed = ask(edge, MASTER, X_Cache_Refresh=SECRET)
    assert (refreshed.cache, refreshed.body) == ("BYPASS", b"#EXTM3U\n#new\n")
    after = [ask(edge, MASTER) for _ in every_worker]
    assert {(answer.cache, answer.body) for answer in after} == {("HIT", b"#EXTM3U\n#new\n")}


@pytest.mark.parametrize("given", ["wrong", SECRET.lower(), SECRET + "x", "Only1The+Worker", ""])
def test_a_wrong_secret_refreshes_nothing(edge: Nginx, origin: Origin, given: str) -> None:
    ask(edge, MASTER)
    assert ask(edge, MASTER, X_Cache_Refresh=given).cache == "HIT"
    assert len(origin.seen) == 1


def test_refresh_secret_works_only_from_named_network(
    origin: Origin, make_edge: Callable[..., Nginx]
) -> None:
    edge = make_edge(origin, ForOthers)
    ask(edge, MASTER)
    assert ask(edge, MASTER, X_Cache_Refresh=SECRET).cache == "HIT"


def test_refresh_is_disabled_without_a_secret(origin: Origin, make_edge: Callable[..., Nginx]) -> None:
    edge = make_edge(origin, secret="")
    ask(edge, MASTER)
    assert ask(edge, MASTER, X_Cache_Refresh="").cache == "HIT"
    assert ask(edge, MASTER).cache == "HIT"


def test_growing_playlist_is_revalidated_soon(edge: Nginx, origin: Origin) -> None:
    growing = "/hls/v-1/v2/early-720p.m3u8"
    origin.objects[f"/videos{growing}"] = b"#EXTM3U\nshort"
    first = ask(edge, growing)
    origin.objects[f"/videos{growing}"] = b"#EXTM3U\nlonger"

    deadline = monotonic() + 20
    while ask(edge, growing).body != b"#EXTM3U\nlonger":
        assert monotonic() < deadline
        sleep(0.2)
    assert (first.status, first.headers["cache-control"]) == (200, "public, max-age=1")


def test_access_log_has_one_line_per_request(edge: Nginx) -> None:
    asked = [f"bytes={number}-" for number in range(300)]
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda part: ask(edge, f"{SEGMENT}?secret=1", Range=part), asked))
    deadline = monotonic() + 30
    while len(lines := [line for line in edge.tail(1000).splitlines() if SEGMENT in line]) < len(asked):
        assert monotonic() < deadline
        sleep(0.1)
    assert Counter(json.loads(line)["range"] for line in lines) == Counter(asked)
    assert {json.loads(line)["uri"] for line in lines} == {SEGMENT}


def test_log_has_the_reports_of_players(edge: Nginx) -> None:
    sound = "bs%2Cot%3Dv%2Csid%3D%22f3%22"
    hostile = ("x" * 1025, "b.1999999999.token", 'a"b', "%0A%22%7D", "\\x")
    for number, text in enumerate((sound, *hostile)):
        assert ask(edge, f"{SEGMENT}?CMCD={text}", Range=f"bytes={number}-{number}").status == 206
    deadline = monotonic() + 30
    found: dict[str, str] = {}
    while len(found) < 1 + len(hostile):
        assert monotonic() < deadline
        sleep(0.1)
        logged = [json.loads(line) for line in edge.tail(1000).splitlines() if "cmcd" in line]
        found = {each["range"]: each["cmcd"] for each in logged if each["range"].endswith(tuple("012345"))}
    texts = [found[f"bytes={number}-{number}"] for number in range(1 + len(hostile))]
    assert texts == [sound, "", "", 'a"b', "%0A%22%7D", "\\x"]


def test_blocks_of_the_log_fit_a_pipe() -> None:
    """Longer blocks of two workers mix in the pipe that a container's output is."""
    template = REPOSITORY / "deploy/nginx/templates/nginx.conf.template"
    [kilobytes] = re.findall(r"^ *access_log \S+ edge buffer=(\d+)k ", template.read_text(), re.MULTILINE)
    assert int(kilobytes) * 1024 <= select.PIPE_BUF
