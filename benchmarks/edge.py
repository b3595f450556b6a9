"""The rate of cached segments, our edge and a plain nginx: `python -m benchmarks.edge`.

Both have the same binary and cache settings; the plain one has no limits, headers, patterns or log. Our edge
is also measured without gates, and with signed URLs. They alternate on core 0 (each round reverses the
order). The viewers run on core 1; the kernel drops the bodies.
"""

import argparse
import contextlib
import http.server
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.report import table, write_report
from benchmarks.viewers import Viewer, drive
from gostream_api.videos.playback_tokens import PlaybackKeys
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.servers.nginx import Nginx, Origin, playback_keys

SIZES = {"20 kB": 20_000, "200 kB": 200_000, "1 MB": 1_000_000}
KEYS = playback_keys("0" * 32, "1" * 32)
SERVER_CORE, LOAD_CORE = 0, 1
MAX_ROUNDS, MAX_SECONDS = 51, 10.0
_PLAIN = """
pid {directory}/nginx.pid;
error_log stderr warn;
worker_processes 1;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    proxy_temp_path {directory}/proxy;
    client_body_temp_path {directory}/client_body;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    proxy_cache_path {directory}/cache levels=1:2 keys_zone=plain:32m max_size=2g inactive=8d
                     use_temp_path=off;
    server {{
        listen {host}:{port};
        location / {{
            proxy_pass {origin};
            proxy_cache plain;
            proxy_cache_valid 200 7d;
            add_header X-Cache-Status $upstream_cache_status;
        }}
        location = /healthz {{ return 200; }}
    }}
}}
"""


class PlainNginx(Nginx):
    """A minimal caching proxy."""

    def prepare(self) -> None:
        self.directories.make(self.directory / "cache")
        values = {"directory": self.directory, "host": self.host, "port": self.port}
        text = _PLAIN.format(**values, origin=f"{self.origin.endpoint_url}/{self.origin.bucket}/")
        self.directories.write(self.directory / "nginx.conf", text)


class OneWorker(Nginx):
    """Our edge with one worker, because it has one core."""

    def prepare(self) -> None:
        super().prepare()
        config = self.directory / "nginx.conf"
        self.directories.write(config, self.changed(config.read_text()))

    def changed(self, text: str) -> str:
        """Returns the configuration to use."""
        assert text.count("worker_processes auto;") == 1
        return text.replace("worker_processes auto;", "worker_processes 1;")


class Ungated(OneWorker):
    """Our edge without gates and signed URLs."""

    def changed(self, text: str) -> str:
        for line in ("auth_request /.edge/gate;", "if ($edge_token_refused) { return 403; }"):
            assert text.count(line) == 4
            text = text.replace(line, "")
        return super().changed(text)


@dataclass
class Seen:
    """One kind of request to one server, for one size; one value per round. `before`: see Viewer."""

    server: Nginx
    before: str = ""
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers per second, the median."""
        return median(self.rates)

    @property
    def microseconds(self) -> float:
        """CPU of the server's processes per answer, the median."""
        return median(self.cpu)


class _Store(http.server.BaseHTTPRequestHandler):
    """Answers /…/{size}.ts with that many bytes and the headers of an object store."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if "/gate/" in self.path:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        size = int(Path(self.path).stem)
        self.send_response(200)
        for name, value in (
            ("Content-Type", "video/mp2t"),
            ("Content-Length", str(size)),
            ("Accept-Ranges", "bytes"),
            ("ETag", f'"{size:032x}"'),
            ("Last-Modified", "Mon, 30 Nov 2026 09:00:00 GMT"),
            ("Content-Security-Policy", "block-all-mixed-content"),
            ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
            ("Vary", "Origin, Accept-Encoding"),
            ("X-Amz-Id-2", "0" * 64),
            ("X-Amz-Request-Id", "0" * 16),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Xss-Protection", "1; mode=block"),
            ("X-Amz-Meta-Sha256", "0" * 64),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"\x47" * size)

    def log_message(self, format: str, *args: Any) -> None:
        """Disables request logs."""


@contextlib.contextmanager
def running() -> Iterator[tuple[Nginx, Nginx, Nginx]]:
    """Starts the store, the plain server, the edge without gates and the edge, with empty caches."""
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Store))
        thread = threading.Thread(target=store.serve_forever)
        thread.start()
        stack.callback(thread.join)
        stack.callback(store.shutdown)
        home = Directories.at(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "edge")
        stack.callback(home.remove)
        ports, origin = Ports({}), Origin(f"http://127.0.0.1:{store.server_port}", "videos")
        plain = PlainNginx(home, ports.pick("plain"), origin, "", "plain")
        ungated = Ungated(home, ports.pick("ungated"), origin, "", "ungated", KEYS)
        edge = OneWorker(home, ports.pick("edge"), origin, "", "edge", KEYS)
        for server in (plain, ungated, edge):
            stack.callback(server.stop)
            server.start()
        yield plain, ungated, edge


def signed_path() -> str:
    """Returns a signed path for the video "bench"."""
    keys = PlaybackKeys.parse(KEYS)
    assert keys is not None
    return keys.path_of("bench", 1, datetime.now(UTC) + timedelta(days=1))


def warm(server: Nginx, size: int) -> None:
    """Asks until an answer comes from the cache. Raises after 20 other answers."""
    buffer = bytearray(1 << 20)
    for _ in range(20):
        viewer = Viewer((server.host, server.port), size)
        viewer.ask()
        while not viewer.read(buffer):
            pass
        viewer.socket.close()
        if b"X-Cache-Status: HIT" in viewer.head:
            return
    raise RuntimeError(f"{server.name} does not cache {size} bytes")


def measure(
    kinds: Sequence[Seen], size: int, rounds: int, connections: int, seconds: float
) -> Sequence[Seen]:
    """Measures all kinds of requests alternately, from warm caches. Returns `kinds`."""
    for kind in kinds:
        warm(kind.server, size)
    for number in range(rounds):
        for kind in kinds if number % 2 == 0 else reversed(kinds):
            address = (kind.server.host, kind.server.port)
            drive(address, size, connections, seconds / 10, kind.before)
            started = _cpu(kind.server)
            answers, elapsed = drive(address, size, connections, seconds, kind.before)
            kind.rates.append(answers / elapsed)
            kind.cpu.append((_cpu(kind.server) - started) / answers * 1e6)
    return kinds


def _processes(server: Nginx) -> list[psutil.Process]:
    master = psutil.Process(server.pid)
    return [master, *master.children(recursive=True)]


def _cpu(server: Nginx) -> float:
    """Seconds. The scheduler counts nanoseconds, the process's times count ticks of 10 ms."""
    counted = [Path(f"/proc/{process.pid}/schedstat").read_text() for process in _processes(server)]
    return sum(int(text.split()[0]) for text in counted) / 1e9


def _pin(servers: Sequence[Nginx]) -> None:
    for server in servers:
        for process in _processes(server):
            process.cpu_affinity([SERVER_CORE])
    os.sched_setaffinity(0, {LOAD_CORE})


def _version(server: Nginx) -> str:
    shown = subprocess.run([server.command()[0], "-v"], capture_output=True, text=True, check=True)
    return shown.stderr.strip().removeprefix("nginx version: ")


def _ratio(kinds: Sequence[Seen]) -> str:
    plain, _, edge, _ = kinds
    return f"**{edge.rate / plain.rate:.2f}**"


def _added(kinds: Sequence[Seen]) -> tuple[str, str]:
    """Returns the medians of the differences within each round."""
    _, ungated, edge, signed = kinds
    return tuple(  # type: ignore[return-value]
        f"**{median(b - a for a, b in zip(ungated.cpu, kind.cpu, strict=True)):+.0f}**"
        for kind in (edge, signed)
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.edge", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help=f"1 to {MAX_ROUNDS}")
    parser.add_argument("--seconds", type=float, default=0.5, help=f"of one turn, 0.1 to {MAX_SECONDS:g}")
    parser.add_argument("--connections", type=int, default=32, help="1 to 128")
    options = parser.parse_args()
    if not 1 <= options.rounds <= MAX_ROUNDS or not 0.1 <= options.seconds <= MAX_SECONDS:
        parser.error("--rounds or --seconds out of range")
    if not 1 <= options.connections <= 128:
        parser.error("--connections out of range")
    return options


def main() -> None:
    """Measures all sizes and writes results/edge.md."""
    options = _options()
    if len(os.sched_getaffinity(0)) <= LOAD_CORE:
        sys.exit("needs two cores: one for the server, one for the viewers")
    with running() as servers:
        _pin(servers)
        plain, ungated, edge = servers
        found = {}
        for name, size in SIZES.items():
            kinds = (Seen(plain), Seen(ungated), Seen(edge), Seen(edge, signed_path()))
            found[name] = measure(kinds, size, options.rounds, options.connections, options.seconds)
        version = _version(edge)
    rates = [(name, *(f"{kind.rate:,.0f}" for kind in kinds), _ratio(kinds)) for name, kinds in found.items()]
    costs = [
        (name, *(f"{kind.microseconds:.0f}" for kind in kinds), *_added(kinds))
        for name, kinds in found.items()
    ]
    columns = ("cached segment", "plain", "edge without gates", "edge", "edge, signed URL")
    write_report(
        "edge",
        "Cached segments: our edge and a plain nginx",
        "Answers per second:",
        table((*columns, "edge / plain"), rates),
        "CPU of the server in µs per answer, and what the gate, and the gate and the token, add:",
        table((*columns, "gate", "gate and token"), costs),
        f"Medians of {options.rounds} alternating rounds of {options.seconds:g} s, {options.connections} "
        "connections on loopback; one worker on one core, viewers on another. The plain nginx has the same "
        "cache and no access log.",
        f"{version} for both.",
    )


if __name__ == "__main__":
    main()
