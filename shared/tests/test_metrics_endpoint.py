"""The Prometheus endpoint with misbehaving clients."""

import asyncio
import threading

import pytest

from gostream_shared.listening import CannotListenError
from gostream_shared.observability.metrics import MAX_CONNECTIONS, serve_metrics


async def _ask(port: int, request: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    try:
        async with asyncio.timeout(300):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("request_", "status", "said"),
    [
        ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 200, b"python_info"),
        ("GET /metrics?name[]=x HTTP/1.1\r\nHost: a\r\n\r\n", 200, b"python_info"),
        ("GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n", 200, b"# EOF"),
        ("HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 200, b""),
        ("GET /other HTTP/1.1\r\nHost: a\r\n\r\n", 404, b"/metrics"),
        ("POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 405, b"Allow: GET, HEAD"),
    ],
)
async def test_get_and_head_are_served(request_: str, status: int, said: bytes) -> None:
    async with serve_metrics("127.0.0.1", 0) as port:
        answer = await _ask(port, request_)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert said in answer
    assert request_.startswith("HEAD") == answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("sent", ["", "GET /met", "GET /metrics HTTP/1.1\r\nHost: a\r\n"])
async def test_incomplete_request_is_closed(sent: str) -> None:
    async with serve_metrics("127.0.0.1", 0, timeout=0.2) as port:
        assert await _ask(port, sent) == b""


@pytest.mark.parametrize("sent", ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\nX: " + "x" * 70_000])
async def test_malformed_request_is_closed(sent: str) -> None:
    async with serve_metrics("127.0.0.1", 0) as port:
        assert await _ask(port, sent) == b""


async def test_idle_connections_are_limited_and_need_no_thread() -> None:
    threads = threading.active_count()
    async with serve_metrics("127.0.0.1", 0) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CONNECTIONS)]
        assert await _ask(port, "GET /metrics HTTP/1.1\r\n\r\n") == b""
        assert threading.active_count() == threads
        for _, writer in idle:
            writer.close()
        while not await _ask(port, "GET /metrics HTTP/1.1\r\n\r\n"):  # until the server notices their ends
            await asyncio.sleep(0.01)


async def test_port_in_use_is_an_error() -> None:
    async with serve_metrics("127.0.0.1", 0) as port:
        with pytest.raises(CannotListenError, match=str(port)):
            await serve_metrics("127.0.0.1", port).__aenter__()


async def test_shutdown_does_not_wait_for_idle_clients() -> None:
    async with serve_metrics("127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(300):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
    writer.close()
