"""A film with downloads on the whole stack: made after READY, served by the edge, gone with the policy."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from gostream.v1 import video_pb2
from gostream_client import AsyncClient, EncodeOptions

pytestmark = pytest.mark.stack
#: Seconds until the edge obeys a changed policy. Three are promised; more, because machines are busy.
PATIENCE = 60
NAME = "attachment; filename=\"My film e.{0}\"; filename*=UTF-8''My%20film%20%E2%80%93%20%C3%A9.{0}"


async def with_downloads(client: AsyncClient, film: Path) -> video_pb2.Video:
    """A READY video whose downloads are made."""
    options = EncodeOptions(start=1, end=5, downloads=["highest", "audio"])
    video = await client.upload(film, title='My "film" – é', process=True, options=options)
    async with asyncio.timeout(100):
        video = await client.wait(video.id, min_version=video.version)
        while any(each.state == video_pb2.Download.STATE_PREPARING for each in video.downloads):
            await asyncio.sleep(0.2)
            video = await client.get_video(video.id)
    return video


async def status(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as answer:
        return answer.status


async def test_downloads_are_served_by_the_edge(
    client: AsyncClient, http: aiohttp.ClientSession, small_clip: Path
) -> None:
    video = await with_downloads(client, small_clip)

    assert video.duration.ToTimedelta().total_seconds() == pytest.approx(4, abs=0.05)
    assert [(each.name, each.content_type) for each in video.downloads] == [
        ("highest", "video/mp4"),
        ("audio", "audio/mp4"),
    ]
    for each in video.downloads:
        async with http.get(each.url) as answer:
            body = await answer.read()
            assert (answer.status, answer.content_type) == (200, each.content_type)
            suffix = "mp4" if each.name == "highest" else "m4a"
            assert answer.headers["Content-Disposition"] == NAME.format(suffix)
        assert len(body) == each.size_bytes
        async with http.get(each.url, headers={"Range": "bytes=10-19"}) as answer:
            assert (answer.status, await answer.read()) == (206, body[10:20])


@pytest.mark.slow
async def test_policy_ends_downloads_too(
    client: AsyncClient, http: aiohttp.ClientSession, small_clip: Path
) -> None:
    video = await with_downloads(client, small_clip)
    url = video.downloads[0].url

    signed = await client.update_video(video.id, policy="signed")
    assert [each.url for each in signed.downloads] == ["", ""]
    info = await client.get_playback_info(video.id)
    assert len(info.downloads) == 2
    assert "/s/" in info.downloads[0].url
    async with asyncio.timeout(PATIENCE):
        while await status(http, url) != 404:
            await asyncio.sleep(0.2)
        while await status(http, info.downloads[0].url) != 200:
            await asyncio.sleep(0.2)

    await client.update_video(video.id, policy="off")
    assert list((await client.get_playback_info(video.id)).downloads) == []
    async with asyncio.timeout(PATIENCE):
        while await status(http, info.downloads[0].url) != 403:
            await asyncio.sleep(0.2)
