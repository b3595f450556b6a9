"""Uploads of the page: broken by a reload and continued, discarded, refused."""

import asyncio
import hashlib
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Page, Request, Route

from gostream_client import AsyncClient, VideoNotFoundError
from gostream_devstack.instance.stack import Stack
from gostream_shared.config import Config, load
from gostream_shared.storage.s3 import S3ObjectStore
from tests.uploads.conftest import MIB, PART, film, stored

from .conftest import Console

pytestmark = pytest.mark.stack
PARTS = 5
_PARTS = """
    async id => {
      const {api} = await (await fetch("config.json")).json();
      return (await (await fetch(`${api}/v1/videos/${id}/upload`)).json()).parts?.length ?? 0;
    }
"""
_STORED = """Object.keys(JSON.parse(localStorage.getItem("gostream.uploads") ?? "{}"))"""


async def start(console: Console, path: Path) -> None:
    await console.page.get_by_label("Video or sound files").set_input_files(path)
    await console.page.get_by_role("button", name="Upload").click()


async def keep(page: Page, kept: int) -> None:
    """Lets some parts through to the object store; the others wait without end."""
    passed: set[str] = set()

    async def decide(route: Route) -> None:
        number = parse_qs(urlsplit(route.request.url).query).get("partNumber", [""])[0]
        if route.request.method == "PUT" and len(passed) < kept:
            passed.add(number)
        if route.request.method != "PUT" or number in passed:
            await route.continue_()

    await page.route("**/uploads/**", decide)


async def break_after(console: Console, path: Path, kept: int) -> str:
    """Begins an upload and reloads the page when the store has some parts. Returns the id of the video."""
    page = console.page
    await console.open("upload")
    await keep(page, kept)
    await start(console, path)
    identifiers: list[str] = []
    async with asyncio.timeout(100):
        while not identifiers:
            identifiers = await page.evaluate(_STORED)
            await asyncio.sleep(0.05)
        while await page.evaluate(_PARTS, identifiers[0]) < kept:
            await asyncio.sleep(0.05)
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))  # leave the page?
    await page.reload()
    await page.unroute_all(behavior="ignoreErrors")  # not before: it lets waiting requests go
    return identifiers[0]


@pytest.mark.slow
async def test_reload_continues_with_missing_parts(console: Console, stack: Stack, tmp_path: Path) -> None:
    path, page = film(tmp_path / "long film.mp4", (PARTS - 1) * PART + MIB), console.page
    identifier = await break_after(console, path, 2)
    sent: list[str] = []

    def note(request: Request) -> None:
        if request.method == "PUT":
            sent.append(request.url)

    page.on("request", note)
    assert await console.findings() == []
    await page.get_by_label("Choose long film.mp4 again").set_input_files(path)
    await page.get_by_role("link", name="Open long film.mp4").click()

    assert page.url.endswith(identifier)
    await page.get_by_role("heading", name="Why it failed").wait_for()  # random bytes are no film
    assert len(sent) == PARTS - 2
    async with S3ObjectStore.open(load(Config, stack.settings)) as store:
        assert await stored(store, identifier) == hashlib.sha256(path.read_bytes()).hexdigest()
    await console.open("upload")
    assert await page.get_by_text("Unfinished uploads").count() == 0


@pytest.mark.slow
async def test_same_file_continues_without_being_asked(console: Console, tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", (PARTS - 1) * PART + MIB)
    identifier = await break_after(console, path, 2)

    await start(console, path)
    await console.page.get_by_role("link", name="Open film.mp4").click()

    assert console.page.url.endswith(identifier)


@pytest.mark.slow
async def test_another_file_is_refused(console: Console, tmp_path: Path) -> None:
    path, page = film(tmp_path / "film.mp4", (PARTS - 1) * PART + MIB), console.page
    await break_after(console, path, 2)

    await page.get_by_label("Choose film.mp4 again").set_input_files(film(tmp_path / "other.mp4", MIB))

    await page.get_by_text("This is another file").wait_for()
    assert await page.get_by_text("Unfinished uploads").count() == 1


@pytest.mark.slow
async def test_discarded_upload_is_forgotten(console: Console, client: AsyncClient, tmp_path: Path) -> None:
    page = console.page
    identifier = await break_after(console, film(tmp_path / "film.mp4", 5 * PART), 2)

    await page.get_by_role("button", name="Discard").click()
    await page.get_by_role("button", name="Yes").click()

    await page.get_by_text("Unfinished uploads").wait_for(state="detached")
    with pytest.raises(VideoNotFoundError):
        await client.get_video(identifier)
    await console.open("upload")
    assert await page.get_by_text("Unfinished uploads").count() == 0
