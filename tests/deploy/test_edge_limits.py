"""deploy/nginx on the real nginx: isolation between clients, and origin discovery."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.servers.nginx import Nginx
from gostream_devstack.servers.nginx import Origin as Address
from tests.deploy.edge import MASTER, PLAYLIST, SECRET, SEGMENT, ask, varied
from tests.deploy.origin import Origin, serving

pytestmark = pytest.mark.stack


def _flood(edge: Nginx, paths: range, form: bytes = b"/hls/v-1/%d.ts") -> set[bytes]:
    """Requests invented paths, many per connection. Returns the status lines."""
    seen = set()
    for start in range(paths.start, paths.stop, 500):
        asked = range(start, min(start + 500, paths.stop))
        requests = [b"HEAD " + form % each + b" HTTP/1.1\r\nHost: a\r\n" for each in asked]
        with socket.create_connection((edge.host, edge.port), timeout=60) as client:
            client.sendall(b"\r\n".join(requests) + b"Connection: close\r\n\r\n")
            seen |= {line for line in client.makefile("rb") if line.startswith(b"HTTP/")}
    return seen


@pytest.mark.slow
def test_invented_paths_do_not_evict_hot_ones(origin: Origin, make_edge: Callable[..., Nginx]) -> None:
    edge = make_edge(origin, varied(EDGE_CACHE_KEYS="512k"))
    ask(edge, SEGMENT)
    parts = [range(start, start + 3000) for start in range(0, 12_000, 3000)]
    with ThreadPoolExecutor(4) as pool:
        seen = set().union(*pool.map(lambda part: _flood(edge, part), parts))
    assert {line.split()[1] for line in seen} == {b"404", b"429"}, "the flood must reach the rate limit"
    assert ask(edge, SEGMENT).cache == "HIT"


@pytest.mark.parametrize("form", [b"/hls/v-1/%d.ts", b"/hls/%d/v1/720p/00000.ts"], ids=["paths", "videos"])
def test_existing_objects_are_served_during_a_flood(
    origin: Origin, make_edge: Callable[..., Nginx], form: bytes
) -> None:
    edge = make_edge(origin, varied(EDGE_MISSING_RATE="1r/m"))
    assert b"HTTP/1.1 429 Too Many Requests\r\n" in _flood(edge, range(300), form)
    assert [ask(edge, path).status for path in (MASTER, PLAYLIST, SEGMENT)] == [200] * 3


@pytest.mark.parametrize(
    "sent",
    [
        "GET /hls/v-1/master.m3u8 HTT",
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 9\r\n",
    ],
)
def test_incomplete_requests_time_out(origin: Origin, make_edge: Callable[..., Nginx], sent: str) -> None:
    edge = make_edge(origin, varied(EDGE_REQUEST_TIMEOUT="1s"))
    with socket.create_connection((edge.host, edge.port), timeout=30) as client:
        client.sendall(sent.encode())
        assert client.recv(1) in (b"", b"H")


def test_viewer_that_reads_nothing_is_disconnected(origin: Origin, make_edge: Callable[..., Nginx]) -> None:
    origin.objects["/videos/hls/v-1/long.ts"] = b"x" * (32 << 20)
    edge = make_edge(origin, varied(EDGE_SEND_TIMEOUT="1s"))
    ask(edge, "/hls/v-1/long.ts")
    with socket.create_connection((edge.host, edge.port), timeout=30) as client:
        client.sendall(b"GET /hls/v-1/long.ts HTTP/1.1\r\nHost: a\r\n\r\n")
        deadline = time.monotonic() + 30
        while '"uri":"/hls/v-1/long.ts"' not in edge.tail(1) or '"bytes":33554432' in edge.tail(1):
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.parametrize("path", [PLAYLIST, SEGMENT, "/hls/v-1/v2/early-720p.m3u8"])
def test_only_the_master_can_be_refreshed(edge: Nginx, origin: Origin, path: str) -> None:
    ask(edge, path)
    assert ask(edge, path, X_Cache_Refresh=SECRET).cache != "BYPASS"


def test_gateway_address_is_not_trusted(origin: Origin, make_edge: Callable[..., Nginx]) -> None:
    edge = make_edge(origin, varied(EDGE_REFRESH_EXCEPT="127.0.0.1"))
    ask(edge, MASTER)
    assert ask(edge, MASTER, X_Cache_Refresh=SECRET).cache == "HIT"


def test_edge_follows_a_moved_origin(home: Directories, origin: Origin) -> None:
    """The name first resolves to 127.0.0.9, where no server listens, then to the origin."""
    ports = Ports({})
    with _naming("127.0.0.9") as (resolver, names):
        kind = varied(EDGE_RESOLVER=f"127.0.0.1:{resolver} valid=1s ipv6=off", EDGE_ORIGIN_OPTIONS="resolve")
        address = Address(f"http://origin.test:{origin.port}", "videos")
        edge = kind(home, ports.pick("moving"), address, SECRET, "moving")
        edge.start()
        try:
            assert ask(edge, SEGMENT).status == 503
            names[0] = "127.0.0.1"
            deadline = time.monotonic() + 30
            while ask(edge, SEGMENT).status != 200:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        finally:
            edge.stop()


@contextmanager
def _naming(address: str) -> Iterator[tuple[int, list[str]]]:
    """A DNS server that resolves every name to the address in the list."""
    names = [address]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.1)
        ended = threading.Event()

        def answer() -> None:
            while not ended.is_set():
                try:
                    query, client = server.recvfrom(512)
                except TimeoutError:
                    continue
                flags = struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0)
                record = struct.pack(">HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(names[0])
                server.sendto(query[:2] + flags + query[12:] + record, client)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield server.getsockname()[1], names
        finally:
            ended.set()
            thread.join()


def test_killed_edge_restarts(edge: Nginx, origin: Origin) -> None:
    ask(edge, SEGMENT)
    edge.kill()
    edge.start()
    assert ask(edge, SEGMENT).cache == "HIT"
    with serving(Origin()):
        assert ask(edge, PLAYLIST).status == 200
