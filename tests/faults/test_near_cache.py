"""The client's near cache over replicas: right after each change, empty soon after a lost stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from gostream_client import AsyncClient
from gostream_client.near.entries import SILENCE
from tests.faults.replicas import Fleet, Replica
from tests.support.tcp_proxy import Proxy
from tests.support.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.faults, pytest.mark.slow]


@asynccontextmanager
async def near(replica: Replica, proxy: Proxy | None = None) -> AsyncIterator[AsyncClient]:
    """A client with a live cache."""
    address = urlsplit(f"//{replica.client.server}")
    server = f"127.0.0.1:{proxy.port}" if proxy else f"{address.hostname}:{address.port}"
    async with AsyncClient(server, timeout=60, near_cache=100) as client:

        async def is_live() -> bool:
            return client.near_cache is not None and client.near_cache.is_live

        await eventually(is_live, timeout=300)
        yield client


async def cancelled(fleet: Fleet, title: str) -> UUID:
    """A video in a state that is cached."""
    video_id = await fleet.new_video(title)
    await fleet.database.execute("UPDATE videos SET status = 'CANCELLED' WHERE id = $1", video_id)
    await fleet.outbox_is_empty()
    return video_id


async def cached(client: AsyncClient, video_id: UUID, title: str) -> None:
    """Waits until the video is answered from memory."""

    async def so() -> bool:
        before = hits(client)
        video = await client.get_video(str(video_id))
        return video.title == title and hits(client) > before

    await eventually(so, timeout=300)


def hits(client: AsyncClient) -> int:
    return client.near_cache.hits if client.near_cache else 0


async def test_change_reaches_the_near_cache(fleet: Fleet) -> None:
    [replica] = await fleet.start(1)
    video_id = await cancelled(fleet, "first")
    async with near(replica) as client:
        await cached(client, video_id, "first")
        await fleet.change(video_id, "second")
        await cached(client, video_id, "second")
        await fleet.database.execute("UPDATE videos SET attempt = attempt + 1 WHERE id = $1", video_id)

        async def is_newest() -> bool:
            return (await client.get_video(str(video_id))).version == 4

        await eventually(is_newest, timeout=300)


@pytest.mark.parametrize("fault", ["half open", "frozen replica"])
async def test_lost_stream_empties_the_cache(fleet: Fleet, fault: str) -> None:
    [replica, other] = await fleet.start(2)
    video_id = await cancelled(fleet, "first")
    address = urlsplit(f"//{replica.client.server}")
    async with Proxy.to(address.hostname or "", address.port or 0) as proxy, near(replica, proxy) as client:
        await cached(client, video_id, "first")
        lost_at = monotonic()
        if fault == "half open":
            proxy.blackhole(on=True)
        else:
            replica.pause()
        await fleet.change(video_id, "second")
        stale_at = lost_at
        async with asyncio.timeout(300):
            while True:
                before = hits(client)
                began = monotonic()
                reading = asyncio.ensure_future(client.get_video(str(video_id), timeout=None))
                await asyncio.wait((reading,), timeout=1)
                is_hit = hits(client) > before
                if not is_hit:
                    reading.cancel()
                    await asyncio.wait((reading,))
                    break
                stale_at = began
                await asyncio.sleep(0.05)
        replica.resume()
    assert stale_at - lost_at <= SILENCE
    assert await other.title(video_id) == "second"


async def test_cut_stream_is_continued(fleet: Fleet) -> None:
    [replica] = await fleet.start(1)
    video_id = await cancelled(fleet, "first")
    address = urlsplit(f"//{replica.client.server}")
    async with Proxy.to(address.hostname or "", address.port or 0) as proxy, near(replica, proxy) as client:
        await cached(client, video_id, "first")
        for turn in range(3):
            proxy.cut()
            await fleet.change(video_id, f"change {turn}")
            await cached(client, video_id, f"change {turn}")
        assert client.near_cache is not None
        assert client.near_cache.is_live
