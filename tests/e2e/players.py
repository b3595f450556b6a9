"""Drives real players without a display: ffmpeg, VLC, Chromium with hls.js."""

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from imageio_ffmpeg import get_ffmpeg_exe

ROOT = Path(__file__).resolve().parents[2]
#: Installed by `make players`; GOSTREAM_HLS_JS and GOSTREAM_SHAKA are the paths of other copies.
HLS_JS = Path(os.environ.get("GOSTREAM_HLS_JS", ROOT / ".tools/players/node_modules/hls.js/dist/hls.min.js"))
SHAKA = Path(
    os.environ.get(
        "GOSTREAM_SHAKA", ROOT / ".tools/players/node_modules/shaka-player/dist/shaka-player.compiled.js"
    )
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
VLC = shutil.which("vlc")
_PAGE = Path(__file__).with_name("player.html")
_SHAKA_PAGE = Path(__file__).with_name("shaka.html")
_NOBODY = 65534
#: Deadline in seconds for a player to play a few seconds of film on a busy machine.
PATIENCE = 110


@dataclass(frozen=True)
class Decoded:
    """Result of decoding one variant with ffmpeg."""

    frames: int
    complaints: str


class Viewer:
    """Reports of the player page."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.started: asyncio.Future[dict[str, Any]] = loop.create_future()
        self.report: asyncio.Future[dict[str, Any]] = loop.create_future()


def decode(master_url: str, variant: int) -> Decoded:
    """Decodes one variant, video and audio, to the end, and reads its texts."""
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "warning", "-i", master_url, "-map", f"0:p:{variant}"]
    done = subprocess.run(
        [*command, "-progress", "pipe:1", "-c:s", "copy", "-f", "null", "-"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return Decoded(int(re.findall(r"^frame=\s*(\d+)", done.stdout, re.MULTILINE)[-1]), done.stderr)


def vlc(master_url: str) -> str:
    """Plays to the end in VLC and returns its log. Runs as user `nobody` if root, which VLC refuses."""
    command = ["-I", "dummy", "-V", "dummy", "-A", "adummy", "--play-and-exit", "--no-color", "-vv"]
    drop: list[str] = []
    with tempfile.TemporaryDirectory() as home:  # user `nobody` cannot enter pytest's folders
        if os.geteuid() == 0:
            drop = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
            os.chown(home, _NOBODY, _NOBODY)
        done = subprocess.run(
            [*drop, VLC or "vlc", *command, master_url],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            env={"HOME": home, "PATH": os.environ["PATH"]},
            cwd=home,
            check=True,
        )
    return done.stdout + done.stderr


async def browse(master_url: str, home: Path) -> dict[str, Any]:
    """Plays in Chromium with hls.js: starts, switches rungs, seeks to the end. Returns the page's report."""
    viewer = Viewer()
    async with _serve_page(viewer) as page_url, chromium(f"{page_url}#{master_url}", home):
        async with asyncio.timeout(PATIENCE):
            return await viewer.report


async def browse_with_shaka(master_url: str, home: Path) -> dict[str, Any]:
    """Plays in Chromium with Shaka Player: starts, switches languages and texts, seeks to the end."""
    viewer = Viewer()
    async with _serve_page(viewer) as page_url, chromium(f"{page_url}shaka#{master_url}", home):
        async with asyncio.timeout(PATIENCE):
            return await viewer.report


@asynccontextmanager
async def browse_growing(master_url: str, home: Path) -> AsyncIterator[Viewer]:
    """Plays an unfinished stream in Chromium until the block ends."""
    viewer = Viewer()
    async with _serve_page(viewer) as page_url, chromium(f"{page_url}?growing#{master_url}", home):
        yield viewer


@asynccontextmanager
async def _serve_page(viewer: Viewer) -> AsyncIterator[str]:
    def file(path: Path) -> Callable[[web.Request], Awaitable[web.FileResponse]]:
        async def answer(_: web.Request) -> web.FileResponse:
            return web.FileResponse(path)

        return answer

    def receiver(told: asyncio.Future[dict[str, Any]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def receive(request: web.Request) -> web.Response:
            if not told.done():
                told.set_result(await request.json())
            return web.Response()

        return receive

    app = web.Application()
    app.add_routes([web.get("/", file(_PAGE)), web.get("/hls.js", file(HLS_JS))])
    app.add_routes([web.get("/shaka", file(_SHAKA_PAGE)), web.get("/shaka.js", file(SHAKA))])
    app.add_routes(
        [web.post("/started", receiver(viewer.started)), web.post("/report", receiver(viewer.report))]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def chromium(url: str, home: Path) -> AsyncIterator[None]:
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio"]
    options += ["--autoplay-policy=no-user-gesture-required", "--no-first-run", f"--user-data-dir={home}"]
    options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    browser = await asyncio.create_subprocess_exec(
        CHROMIUM or "chromium",
        *(*options, url),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        await asyncio.to_thread(_end_group, browser.pid)
        await browser.wait()


def _end_group(group: int) -> None:
    """Ends the browser and its helpers, which write to its folder until the last exits."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 9)
        except ProcessLookupError:
            return
        time.sleep(0.1)
