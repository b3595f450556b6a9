"""Proxies from environment variables."""

import asyncio
from pathlib import Path

import pytest

from gostream_client import AsyncClient, SourceFile, UnreachableError
from gostream_client.connection.proxy import VARIABLES
from gostream_client.upload.single import put
from tests.support.fake_server import VIDEO_ID, ApiServer, Store

#: No proxy listens there.
NOWHERE = "http://127.0.0.1:1"
#: RFC 5737: addresses for documentation, which belong to no host.
ELSEWHERE = "192.0.2.1:50051"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "all_proxy", "no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("variable", [*VARIABLES, "all_proxy"])
@pytest.mark.parametrize(
    "server_at", ["127.0.0.1:{0}", "localhost:{0}", "[::ffff:127.0.0.1]:{0}", "127.0.0.1:{0},localhost:{0}"]
)
async def test_calls_to_loopback_bypass_the_proxy(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch, variable: str, server_at: str
) -> None:
    monkeypatch.setenv(variable, NOWHERE)
    port = server.address.rpartition(":")[2]
    async with AsyncClient(server_at.format(port), timeout=60) as client:
        await client.get_video(VIDEO_ID)


async def test_uploads_to_loopback_bypass_the_proxy(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*VARIABLES, "all_proxy"):
        monkeypatch.setenv(name, NOWHERE)
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    await put(store.upload(), SourceFile(film), on_sent=lambda sent: None)
    assert store.puts == 1


async def test_other_calls_use_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if not asked.done():
            asked.set_result(line)
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        async with AsyncClient(ELSEWHERE, timeout=60) as client:
            with pytest.raises(UnreachableError):
                await client.get_video(VIDEO_ID)
    assert await asked == b"CONNECT 192.0.2.1:50051 HTTP/1.1\r\n"


@pytest.mark.parametrize("variable", VARIABLES)
async def test_failing_proxy_is_named(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, NOWHERE)
    async with AsyncClient(ELSEWHERE, timeout=60) as client:
        with pytest.raises(UnreachableError, match=f"calls go through the proxy of {variable}"):
            await client.get_video(VIDEO_ID)
