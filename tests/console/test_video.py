"""The page of one video: languages and captions, failures, actions."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Page

from gostream.v1.video_pb2 import Video
from gostream_client import AsyncClient
from tests.e2e import films
from tests.e2e.conftest import Upload

from .conftest import Console

pytestmark = pytest.mark.stack
CUES = """
    [...document.querySelector("video").textTracks].filter(track => track.mode === "showing")
      .map(track => [track.language, track.cues?.length ?? 0])
"""


async def shows(page: Page, expected: list[list[object]]) -> None:
    """Waits until exactly these captions are shown."""
    seen: object = None
    async with asyncio.timeout(100):
        while seen != expected:
            seen = await page.evaluate(CUES)
            await asyncio.sleep(0.05)


async def failed(client: AsyncClient, path: Path) -> Video:
    created = await client.upload(path, user_id="console")
    await client.trigger_process(created.id)
    return await client.wait(created.id)


@pytest.mark.slow
async def test_languages_and_captions_are_chosen(console: Console, upload: Upload, tmp_path: Path) -> None:
    video, page = await upload(films.with_languages(tmp_path)), console.page
    await console.open(f"video/{video.id}")
    await page.locator("video").evaluate("video => { video.muted = true; return video.play(); }")

    await shows(page, [["de", 2]])  # forced captions of the default sound
    captions = page.get_by_role("combobox", name="Captions", exact=True)
    assert await captions.locator("option").count() == 2
    await captions.select_option(label="English")
    await shows(page, [["en", 2]])
    await captions.select_option(label="Off")
    await shows(page, [["de", 2]])
    await page.get_by_role("combobox", name="Sound", exact=True).select_option(label="English")
    await shows(page, [])
    await page.get_by_role("combobox", name="Sound", exact=True).select_option(label="Deutsch")
    await shows(page, [["de", 2]])
    assert await page.get_by_role("row", name="Captions German").count() == 1
    assert await console.findings() == []


@pytest.mark.slow
async def test_sound_alone_plays_with_its_cover(console: Console, upload: Upload, tmp_path: Path) -> None:
    video = await upload(films.flac_with_cover(tmp_path))
    await console.open(f"video/{video.id}")
    player = console.page.locator("video")

    assert await player.get_attribute("poster") == video.poster_url
    await player.evaluate("video => { video.muted = true; return video.play(); }")
    assert await player.evaluate("video => video.videoWidth") == 0


async def test_failure_is_explained(console: Console, submit: Upload, tmp_path: Path) -> None:
    path, page = tmp_path / "notes.mp4", console.page
    path.write_bytes(b"no film at all\n" * 100)
    video = await submit(path)
    await console.open(f"video/{video.id}")

    await page.get_by_role("heading", name="Why it failed").wait_for()
    await page.get_by_text("SOURCE_NOT_MEDIA").wait_for()
    await page.get_by_text("Trying again with the same file fails again").wait_for()
    assert await console.findings() == []
    await page.get_by_role("button", name="Try again").click()
    await page.get_by_text("Done.").wait_for()


@pytest.mark.slow
async def test_deleted_video_is_undeleted(console: Console, upload: Upload, small_clip: Path) -> None:
    video, page = await upload(small_clip), console.page
    await console.open(f"video/{video.id}")

    await page.get_by_role("button", name="Delete").click()
    assert await console.findings() == []
    await page.get_by_role("button", name="No").click()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Yes").click()
    await page.get_by_role("button", name="Undelete").click()
    await page.get_by_role("button", name="Encode again").wait_for()


@pytest.mark.slow
async def test_captions_are_added_and_removed(
    console: Console, upload: Upload, small_clip: Path, tmp_path: Path
) -> None:
    video, page = await upload(small_clip), console.page
    text = tmp_path / "film.srt"
    text.write_text("1\n00:00:00,500 --> 00:00:02,000\nwords\n")
    await console.open(f"video/{video.id}")

    await page.get_by_label("File (.srt").set_input_files(text)
    await page.get_by_label("Language (en").fill("fr")
    await page.get_by_role("button", name="Add captions").click()
    await page.get_by_role("row", name="Captions French").get_by_text("Ready").wait_for()
    await page.get_by_role("button", name="Remove Français").click()
    await page.get_by_role("button", name="Yes").click()
    await page.get_by_role("row", name="Captions French").wait_for(state="detached")
