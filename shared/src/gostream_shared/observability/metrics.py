"""The Prometheus endpoint: one port per process, never prometheus-client's multiprocess mode."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, start_http_server
from prometheus_client.registry import Collector

PREFIX = "gostream"


@contextmanager
def serve_metrics(host: str, port: int, *collectors: Collector) -> Iterator[int]:
    """Serve /metrics in a thread of its own and answer the port; 0 asks for a free one."""
    for collector in collectors:
        REGISTRY.register(collector)
    server, thread = start_http_server(port, addr=host)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        for collector in collectors:
            REGISTRY.unregister(collector)
