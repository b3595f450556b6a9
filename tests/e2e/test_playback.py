"""Signed playback and takedown through the whole stack, at two edges."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from urllib.parse import urljoin

import aiohttp
import pytest

from gostream_client import AsyncClient
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.instance.stack import Stack
from gostream_devstack.servers.nginx import Nginx

pytestmark = pytest.mark.stack

#: Seconds. Five are promised; more, because test machines are busy. benchmarks.load.takedown measures them.
BOUND = 30.0
Publish = Callable[[str], Awaitable[str]]


@pytest.fixture(scope="module")
def edges(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Nginx]]:
    """The stack's edge, and another one in front of the same store."""
    first = stack.servers["nginx"]
    assert isinstance(first, Nginx)
    home = Directories.at(tmp_path_factory.mktemp("second"))
    port = Ports({}).pick("second")
    second = Nginx(home, port, first.origin, first.refresh_secret, "second", first.playback_keys)
    second.start()
    yield [first, second]
    second.stop()
    home.remove()


@pytest.fixture
def publish(client: AsyncClient, small_clip: Path) -> Publish:
    """Uploads and encodes a video with that policy. Returns its id."""

    async def publish(policy: str) -> str:
        created = await client.upload(small_clip, title="x", user_id="e2e", policy=policy)
        began = await client.trigger_process(created.id)
        await client.wait(began.id, min_version=began.version, timeout=100)
        return began.id

    return publish


@dataclass
class Viewers:
    """Viewers of one segment at several edges: the last moment at which each edge served it."""

    served: dict[str, float] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)

    async def until(self, refused: int) -> None:
        async with asyncio.timeout(BOUND * 2):
            while set(self.statuses.values()) != {refused}:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def watching(http: aiohttp.ClientSession, edges: list[Nginx], path: str) -> AsyncIterator[Viewers]:
    """Requests a segment at all edges all the time, once each has it in its cache."""
    viewers = Viewers()

    async def view(edge: Nginx) -> None:
        while True:
            asked = monotonic()
            async with http.get(edge.url + path) as answer:
                await answer.read()
            viewers.statuses[edge.name] = answer.status
            if answer.status == 200:
                viewers.served[edge.name] = asked
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as tasks:
        views = [tasks.create_task(view(edge)) for edge in edges for _ in range(2)]
        async with asyncio.timeout(BOUND):
            while len(viewers.served) < len(edges):
                await asyncio.sleep(0.02)
        yield viewers
        for each in views:
            each.cancel()


async def segment_of(http: aiohttp.ClientSession, master: str) -> str:
    """Returns the path of a segment, with its token."""
    url = master
    for _ in range(2):
        async with http.get(url) as answer:
            assert answer.status == 200
            lines = (await answer.text()).splitlines()
        url = urljoin(url, [line for line in lines if line and not line.startswith("#")][-1])
    return url.removeprefix(master.partition("/hls/")[0].partition("/s/")[0])


@pytest.mark.slow
async def test_deleted_video_ends_at_every_edge(
    client: AsyncClient, http: aiohttp.ClientSession, edges: list[Nginx], publish: Publish
) -> None:
    video_id = await publish("public")
    path = await segment_of(http, (await client.get_playback_info(video_id)).playback_url)
    async with watching(http, edges, path) as viewers:
        await client.delete_video(video_id)
        committed = monotonic()
        await viewers.until(refused=404)
    assert all(served - committed < BOUND for served in viewers.served.values())
    print({name: round(served - committed, 2) for name, served in viewers.served.items()})


@pytest.mark.slow
async def test_revoked_urls_end_at_every_edge(
    client: AsyncClient, http: aiohttp.ClientSession, edges: list[Nginx], publish: Publish
) -> None:
    video_id = await publish("signed")
    assert (await client.get_video(video_id)).playback_url == ""
    path = await segment_of(http, (await client.get_playback_info(video_id)).playback_url)
    async with watching(http, edges, path) as viewers:
        await client.revoke_playback(video_id)
        committed = monotonic()
        await viewers.until(refused=403)
    assert all(served - committed < BOUND for served in viewers.served.values())
    path = await segment_of(http, (await client.get_playback_info(video_id)).playback_url)
    async with watching(http, edges, path):
        pass


@pytest.mark.slow
async def test_other_policy_ends_playback(
    client: AsyncClient, http: aiohttp.ClientSession, edges: list[Nginx], publish: Publish
) -> None:
    video_id = await publish("public")
    path = await segment_of(http, (await client.get_playback_info(video_id)).playback_url)
    async with watching(http, edges, path) as viewers:
        await client.update_video(video_id, policy="off")
        await viewers.until(refused=404)
        assert (await client.get_playback_info(video_id)).playback_url == ""
        await client.update_video(video_id, policy="public")
        await viewers.until(refused=200)


async def test_policies_are_served_as_json(
    stack: Stack, http: aiohttp.ClientSession, publish: Publish
) -> None:
    video_id = await publish("signed")
    base = f"{stack.env['GOSTREAM_HTTP_URL']}/v1/videos/{video_id}"
    async with http.get(f"{base}/playback") as answer:
        assert answer.status == 200
        assert "/s/a." in (await answer.json())["playback_url"]
    async with http.get(f"{base}/playback?ttl=600s") as answer:
        assert answer.status == 200
    async with http.post(f"{base}/revoke", json={}) as answer:
        assert (answer.status, (await answer.json())["playback_epoch"]) == (200, 2)
    async with http.patch(base, json={"playback_policy": "PLAYBACK_POLICY_OFF"}) as answer:
        assert (answer.status, (await answer.json())["playback_policy"]) == (200, "PLAYBACK_POLICY_OFF")
    mask = {"update_mask": "playback_policy"}
    async with http.patch(base, params=mask, json={"playback_policy": "PLAYBACK_POLICY_PUBLIC"}) as answer:
        assert (answer.status, await answer.text()) == (200, await answer.text())


@pytest.mark.slow
async def test_early_playback_follows_the_policy(
    stack: Stack, http: aiohttp.ClientSession, edges: list[Nginx], long_clip: Path
) -> None:
    async with AsyncClient(stack.env["GOSTREAM_API_ADDR"].split(",")[0]) as client:
        created = await client.upload(long_clip, title="x", user_id="e2e", policy="signed")
        video_id = (await client.trigger_process(created.id)).id
        async with asyncio.timeout(90):
            while not (url := (await client.get_playback_info(video_id)).playable_url):
                await asyncio.sleep(0.1)
        assert (await client.get_video(video_id)).processing.playable_url == ""
        path = url.partition("/s/")[2]
        async with watching(http, edges, f"/s/{path}") as viewers:
            await client.cancel_process(video_id)
            await viewers.until(refused=403)
