"""Refresh of the edge's copy of a master playlist."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web

from gostream_worker.publish.cdn import HttpEdge

VIDEO = UUID("0190a0a0-0000-7000-8000-000000000001")
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def edge_answering(answer: Answer) -> AsyncIterator[HttpEdge]:
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = runner.addresses[0]
    async with aiohttp.ClientSession() as session:
        try:
            yield HttpEdge(session, f"http://{address[0]}:{address[1]}", "secret")
        finally:
            await runner.cleanup()


async def test_refresh_request_carries_the_secret() -> None:
    asked: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.path, request.headers["X-Cache-Refresh"]))
        return web.Response(text="#EXTM3U")

    async with edge_answering(answer) as edge:
        await edge.refresh_master(VIDEO)

    assert asked == [(f"/hls/{VIDEO}/master.m3u8", "secret")]


async def test_refused_refresh_does_not_stop_publication() -> None:
    async def answer(request: web.Request) -> web.Response:
        raise web.HTTPBadGateway

    async with edge_answering(answer) as edge:
        await edge.refresh_master(VIDEO)


async def test_hanging_edge_is_not_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gostream_worker.publish.cdn.REFRESH_TIMEOUT", 0.1)
    over = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await over.wait()
        return response

    async with edge_answering(answer) as edge, asyncio.timeout(300):
        await edge.refresh_master(VIDEO)
        over.set()


async def test_unreachable_edge_is_no_error() -> None:
    async with aiohttp.ClientSession() as session:
        await HttpEdge(session, "http://127.0.0.1:1", "secret").refresh_master(VIDEO)


async def test_every_address_of_the_edge_is_refreshed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str | None, str]] = []

    async def answer(request: web.Request) -> web.Response:
        host = request.transport.get_extra_info("sockname")[0] if request.transport else None
        asked.append((host, request.headers["Host"]))
        return web.Response(text="#EXTM3U")

    async with edges_at(["127.0.0.21", "127.0.0.22"], answer) as port, aiohttp.ClientSession() as session:
        loop = asyncio.get_running_loop()
        # The second address has no server: the others are refreshed all the same.
        hosts = ["127.0.0.21", "127.0.0.23", "127.0.0.22", "127.0.0.21"]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in hosts]

        async def resolve(*_: object, **__: object) -> object:
            return found

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        await HttpEdge(session, f"http://edges.test:{port}", "secret").refresh_master(VIDEO)

    assert sorted(asked) == [(host, f"edges.test:{port}") for host in ("127.0.0.21", "127.0.0.22")]


@asynccontextmanager
async def edges_at(addresses: list[str], answer: Answer) -> AsyncIterator[int]:
    """Serves at the same port of each address. Yields the port."""
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        port = 0
        for address in addresses:
            await web.TCPSite(runner, address, port).start()
            port = runner.addresses[0][1]
        yield port
    finally:
        await runner.cleanup()
