"""The list: pages, filters, hostile titles, the keyboard alone."""

from pathlib import Path
from uuid import uuid4

import pytest

from gostream_client import AsyncClient

from .conftest import Console

pytestmark = pytest.mark.stack


async def test_titles_never_become_markup(console: Console, client: AsyncClient) -> None:
    title = f"<img src=x onerror=alert(1)>{{reason}} {uuid4()}"
    await client.create_video(title=title, user_id="u", content_type="video/mp4", size_bytes=1)
    await console.open()

    await console.page.get_by_role("link", name=title).click()

    await console.page.get_by_role("heading", name=title).wait_for()
    assert await console.page.locator("main img").count() == 0


async def test_list_is_filtered_and_paged(console: Console, client: AsyncClient) -> None:
    word, page = f"w{uuid4().hex}", console.page
    for number in range(26):
        await client.create_video(
            title=f"{word} {number}", user_id="u", content_type="video/mp4", size_bytes=1
        )
    await console.open()
    rows = page.locator("tbody tr")

    await page.get_by_label("Title contains").fill(word)
    await page.get_by_role("button", name="Filter").click()
    await page.get_by_role("link", name=f"{word} 25").wait_for()
    assert await rows.count() == 25
    assert await console.findings() == []
    await page.get_by_role("button", name="Next page").click()
    await page.get_by_role("link", name=f"{word} 0", exact=True).wait_for()
    assert await rows.count() == 1
    await page.get_by_label("Status").select_option("STATUS_READY")
    await page.get_by_role("button", name="Filter").click()
    await page.get_by_text("No videos.").wait_for()


async def test_keyboard_reaches_every_control(console: Console, client: AsyncClient, tmp_path: Path) -> None:
    title = f"keys {uuid4()}"
    await client.create_video(title=title, user_id="u", content_type="video/mp4", size_bytes=1)
    await console.open()
    page, seen = console.page, []

    for _ in range(100):
        await page.keyboard.press("Tab")
        text = await page.evaluate("document.activeElement.name || document.activeElement.textContent")
        seen.append(text)
        if text == title:
            break
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name=title).wait_for()
    for _ in range(20):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.textContent") == "Delete":
            break
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")

    await page.get_by_role("button", name="Undelete").wait_for()
    assert {"status", "title", "deleted", "Filter"} <= set(seen)
