"""The limit of watches per client, and how clients are identified."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc import aio

from gostream.v1.video_service_pb2 import CreateVideoRequest, WatchVideoRequest


async def created(api: Any) -> str:
    video_id: str = (await api.stub.CreateVideo(CreateVideoRequest(title="Holiday", size_bytes=4))).video.id
    return video_id


async def read(call: Any) -> Any:
    async with asyncio.timeout(300):
        return await call.read()


async def test_watches_of_one_client_are_limited(
    start_api: Callable[..., Awaitable[Any]], refused: Any
) -> None:
    api = await start_api(WATCHES_PER_CLIENT="1", TRUSTED_PROXIES="127.0.0.0/8")
    request = WatchVideoRequest(id=await created(api))
    calls = {}
    for client in ("192.0.2.1", "192.0.2.2"):
        calls[client] = api.stub.WatchVideo(request, metadata=(("x-forwarded-for", f"192.0.2.9, {client}"),))
        await read(calls[client])

    again = (("x-forwarded-for", "192.0.2.1"),)
    refusal = await refused(read(api.stub.WatchVideo(request, metadata=again)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_REQUESTS")
    assert "limit of 1 open watches" in refusal.message

    calls["192.0.2.1"].cancel()
    async with asyncio.timeout(300):
        while True:  # until the server notices
            call = api.stub.WatchVideo(request, metadata=again)
            try:
                await read(call)
                break
            except aio.AioRpcError:
                await asyncio.sleep(0.05)


async def test_forwarded_header_of_untrusted_peer_is_ignored(
    start_api: Callable[..., Awaitable[Any]], refused: Any
) -> None:
    api = await start_api(WATCHES_PER_CLIENT="1", TRUSTED_PROXIES="")
    request = WatchVideoRequest(id=await created(api))
    first = api.stub.WatchVideo(request, metadata=(("x-forwarded-for", "192.0.2.1"),))
    await read(first)

    refusal = await refused(read(api.stub.WatchVideo(request, metadata=(("x-forwarded-for", "192.0.2.2"),))))

    assert refusal.reason == "TOO_MANY_REQUESTS"
