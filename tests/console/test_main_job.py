"""A film goes from the file of a person to the player, in the page alone."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Locator

from gostream_client import AsyncClient

from .conftest import Console

pytestmark = pytest.mark.stack


async def position(video: Locator) -> float:
    seconds: float = await video.evaluate("video => video.currentTime")
    return seconds


async def test_film_is_uploaded_followed_and_played(
    console: Console, small_clip: Path, client: AsyncClient
) -> None:
    page = console.page
    await console.open("upload")
    await page.get_by_label("Video or sound files").set_input_files(small_clip)
    await page.get_by_role("button", name="Upload").click()
    await page.get_by_role("link", name=f"Open {small_clip.name}").click()

    await page.get_by_role("progressbar", name="Progress").wait_for()
    await page.get_by_text("Ready", exact=True).first.wait_for()
    video = page.locator("video")
    await video.evaluate("video => { video.muted = true; return video.play(); }")
    async with asyncio.timeout(100):
        while await position(video) < 1:
            await asyncio.sleep(0.05)

    await page.get_by_role("button", name="Go to 0:05").click()
    async with asyncio.timeout(100):
        while await position(video) < 4.5:
            await asyncio.sleep(0.05)
    assert await console.findings() == []
    assert await page.evaluate("Object.keys(localStorage).map(key => localStorage[key])") == ["{}"]
    identifier = page.url.rpartition("/")[2]
    assert (await client.get_video(identifier)).title == small_clip.name
