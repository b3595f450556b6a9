"""An object store for the edge tests: records requests, delays or fails responses."""

import hashlib
import http.server
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Seen:
    """A request that reached the origin."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass
class Origin:
    """Serves `objects` by path. `status` overrides every response; `delay` postpones it.

    Responses wait while `gate` is clear. This does not apply to requests for `open_gates`, the gates of
    videos; `seen` does not list them. `secret` is what the edge sends as Referer.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    extra_headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    delay: float = 0
    gate: threading.Event = field(default_factory=threading.Event)
    seen: list[Seen] = field(default_factory=list)
    open_gates: set[str] = field(default_factory=lambda: {"v-1/public"})
    gate_requests: int = 0
    secret: str = ""
    port: int = 0
    up: bool = False

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(origin: Origin) -> Iterator[None]:
    """Serves `origin` on its port, or on a new one the first time."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if not origin.up:
                self.close_connection = True  # a keep-alive connection must not outlive its server
                return
            if self.path.startswith("/videos/gate/"):
                origin.gate_requests += 1
                is_open = self.path.removeprefix("/videos/gate/") in origin.open_gates
                self._answer(200 if is_open else 404, b"", "text/plain")
                return
            origin.seen.append(Seen(self.command, self.path, dict(self.headers.items())))
            time.sleep(origin.delay)
            origin.gate.wait()
            body = origin.objects.get(self.path)
            if origin.status or body is None:
                self._answer(origin.status or 404, b"<Error><Key>secret</Key></Error>", "application/xml")
            elif self.headers.get("If-None-Match") == _etag(body):
                self._answer(304, b"", None, _etag(body))
            else:
                playlist = self.path.endswith(".m3u8")
                kind = "application/vnd.apple.mpegurl" if playlist else "video/mp2t"
                self._answer(200, body, kind, _etag(body))

        def _answer(
            self, status: int, body: bytes, content_type: str | None, etag: str | None = None
        ) -> None:
            self.send_response(status)
            if content_type:
                self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            if etag:
                self.send_header("ETag", etag)
            for name, value in origin.extra_headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Disables request logs."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", origin.port), Handler) as server:
        server.daemon_threads = True
        origin.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        origin.up = True
        try:
            yield
        finally:
            origin.up = False
            origin.gate.set()
            server.shutdown()
            thread.join()


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
