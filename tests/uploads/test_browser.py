"""The module for browsers in Chromium: through the JSON edge, under a strict Content-Security-Policy."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web

from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.servers.envoy import Envoy
from gostream_shared.storage.s3 import S3ObjectStore
from tests.e2e.players import CHROMIUM, chromium
from tests.support.repository import ROOT
from tests.support.tcp_proxy import Proxy

from .conftest import PART, stored

SIZE = 4 * PART + 5
#: Bytes of HTTP around a part.
_HEADS = 8192
_HERE = Path(__file__).parent
_FILES = {
    "/": _HERE / "upload.html",
    "/page.js": _HERE / "page.js",
    "/gostream-upload.js": ROOT / "client/browser/gostream-upload.js",
    "/gostream-md5.js": ROOT / "client/browser/gostream-md5.js",
}


@dataclass
class Pages:
    """The page of the module; each visit sends one report."""

    url: str
    policy: str = ""
    report: "asyncio.Future[dict[str, Any]] | None" = None

    async def visit(self, home: Path, **asked: Any) -> dict[str, Any]:
        """Opens the page in a new browser. Returns its report."""
        self.report = asyncio.get_running_loop().create_future()
        async with chromium(f"{self.url}?{urlencode(asked)}", home), asyncio.timeout(300):
            return await self.report


@pytest.fixture
async def pages() -> AsyncIterator[Pages]:
    pages = Pages("")

    async def page(request: web.Request) -> web.FileResponse:
        headers = {"Content-Security-Policy": pages.policy, "Cache-Control": "no-store"}
        return web.FileResponse(_FILES[request.path], headers=headers)

    async def report(request: web.Request) -> web.Response:
        assert pages.report is not None
        pages.report.set_result(await request.json())
        return web.Response()

    app = web.Application()
    app.add_routes([*(web.get(path, page) for path in _FILES), web.post("/report", report)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pages.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield pages
    await runner.cleanup()


@dataclass(frozen=True)
class Replica:
    port: int
    read_port: int


@asynccontextmanager
async def edge(address: str, origin: str, home: Path) -> AsyncIterator[Envoy]:
    """An Envoy in front of the API, which pages of the origin may call."""

    class ForThePage(Envoy):
        def environment(self) -> Mapping[str, str]:
            return {**super().environment(), "EDGE_CORS_ORIGINS": origin}

    port, ports, folder = int(address.rpartition(":")[2]), Ports({}), Directories.at(home)
    envoy = ForThePage(folder, ports.pick("edge"), ports.pick("admin"), [Replica(port, port)])
    try:
        await asyncio.to_thread(envoy.start)
        await asyncio.to_thread(envoy.wait_for_apis)
        yield envoy
    finally:
        await asyncio.to_thread(envoy.stop)
        folder.remove()


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
async def test_new_page_sends_only_missing_parts(
    address: str, pages: Pages, store: S3ObjectStore, proxy: Proxy, tmp_path: Path
) -> None:
    home = tmp_path / "edge"
    home.mkdir()
    async with edge(address, pages.url.rstrip("/"), home) as envoy:
        sources = f"'self' {envoy.url} http://{proxy.host}:{proxy.port}"
        pages.policy = f"default-src 'none'; script-src 'self'; worker-src 'self'; connect-src {sources}"

        first = await pages.visit(tmp_path / "a", api=envoy.url, size=SIZE, stop=2 * PART + 1)
        assert (first["error"], first.get("violation")) == ("stopped", None)
        before = [each async for each in store.list_multiparts(f"uploads/{first['id']}/")]
        kept = await store.list_parts(before[0].key, before[0].upload_id)
        missing = SIZE - sum(part.size for part in kept)
        sent = proxy.to_server.passed

        second = await pages.visit(tmp_path / "b", api=envoy.url, size=SIZE, id=first["id"])

    assert second == {
        "id": first["id"],
        "status": "STATUS_PROCESSING",
        "last": SIZE,
        "sha256": first["sha256"],
    }
    assert missing <= proxy.to_server.passed - sent < missing + 8 * _HEADS
    assert await stored(store, first["id"]) == first["sha256"]
