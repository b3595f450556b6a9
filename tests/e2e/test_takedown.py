"""Objects in the store after a video is cancelled before READY."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import pytest

from gostream_client import AsyncClient
from gostream_devstack.instance.stack import Stack
from gostream_shared.config import Config, load
from gostream_shared.storage.s3 import S3ObjectStore
from tests.e2e.conftest import Upload

pytestmark = pytest.mark.stack


@pytest.fixture
async def store(stack: Stack) -> AsyncIterator[S3ObjectStore]:
    async with S3ObjectStore.open(load(Config, stack.env)) as store:
        yield store


@pytest.mark.slow
async def test_cancelled_video_leaves_no_streams(
    client: AsyncClient, submit: Upload, store: S3ObjectStore, long_clip: Path
) -> None:
    video = await submit(long_clip)

    async def stored() -> list[str]:
        return [found.key async for found in store.list(f"hls/{video.id}/")]

    async with asyncio.timeout(90):
        while not await stored():
            await asyncio.sleep(0.05)
    await client.cancel_process(video.id)
    began = monotonic()
    async with asyncio.timeout(300):  # objects of a late writer are removed after ten minutes
        while await stored():
            await asyncio.sleep(0.05)
    print(f"removed after {monotonic() - began:.1f} s")
