"""A deleted video is refused by the edge, and plays as before once it is restored."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import aio

from gostream.v1 import video_pb2
from gostream.v1.video_service_pb2 import (
    DeleteVideoRequest,
    GetPlaybackInfoRequest,
    GetVideoRequest,
    UndeleteVideoRequest,
    UpdateVideoRequest,
)
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_devstack.instance.stack import Stack
from tests.e2e.conftest import Upload
from tests.e2e.test_main_job import uris

pytestmark = pytest.mark.stack


@pytest.fixture
async def stub(stack: Stack) -> AsyncIterator[Any]:
    async with aio.insecure_channel(stack.env["GOSTREAM_API_ADDR"].split(",")[0]) as channel:
        yield VideoServiceStub(channel)


async def publication(http: aiohttp.ClientSession, master: str) -> dict[str, bytes]:
    """Every playlist and segment, as the edge serves them."""
    found: dict[str, bytes] = {}
    waiting = [master]
    while waiting:
        url = waiting.pop()
        async with http.get(url) as answer:
            assert answer.status == 200, f"{url}: {answer.status}"
            found[url] = await answer.read()
        if url.endswith(".m3u8"):
            waiting += [each for uri in uris(found[url]) if (each := urljoin(url, uri)) not in found]
    return found


async def status_becomes(http: aiohttp.ClientSession, urls: list[str], status: int) -> float:
    """Waits until the edge answers all URLs so. Returns the seconds."""
    begun = monotonic()
    async with asyncio.timeout(60):
        for url in urls:
            while True:
                async with http.get(url) as answer:
                    await answer.read()
                if answer.status == status:
                    break
                await asyncio.sleep(0.05)
    return monotonic() - begun


@pytest.mark.parametrize("policy", ["PUBLIC", pytest.param("SIGNED", marks=pytest.mark.slow)])
async def test_undeleted_video_plays_bit_equal(
    http: aiohttp.ClientSession, stub: Any, upload: Upload, small_clip: Path, policy: str
) -> None:
    video_id = (await upload(small_clip)).id
    change = video_pb2.Video(
        id=video_id,
        playback_policy=video_pb2.PlaybackPolicy.Value(f"PLAYBACK_POLICY_{policy}"),
        labels={"course": "42"},
    )
    mask = FieldMask(paths=["playback_policy", "labels"])
    video = await stub.UpdateVideo(UpdateVideoRequest(video=change, update_mask=mask), timeout=60)
    master = (await stub.GetPlaybackInfo(GetPlaybackInfoRequest(id=video_id), timeout=60)).playback_url
    await status_becomes(http, [master], 200)
    before = await publication(http, master)
    assert len(before) >= 5

    await stub.DeleteVideo(DeleteVideoRequest(id=video_id), timeout=60)
    ended = await status_becomes(http, list(before), 403 if policy == "SIGNED" else 404)
    restored = await stub.UndeleteVideo(UndeleteVideoRequest(id=video_id), timeout=60)
    back = await status_becomes(http, [master], 200)
    print(f"refused after {ended:.1f} s, served after {back:.1f} s")

    assert await publication(http, master) == before
    assert await stub.GetVideo(GetVideoRequest(id=video_id), timeout=60) == restored
    for message in (video, restored):
        for name in ("version", "etag", "update_time"):
            message.ClearField(name)
    assert restored == video
