"""The Prometheus endpoint: one port per process, never prometheus-client's multiprocess mode."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import disable_created_metrics, start_http_server

# A time of creation for every series doubles the answer and tells nothing that the process's start does not.
disable_created_metrics()  # type: ignore[no-untyped-call]


@contextmanager
def serve_metrics(host: str, port: int) -> Iterator[int]:
    """Serve /metrics in a thread of its own and answer the port; 0 asks for a free one."""
    server, thread = start_http_server(port, addr=host)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
