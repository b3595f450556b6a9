"""`gostream` finds, changes, deletes and restores a video of the real stack."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cli.tests.conftest import Gostream, Ran
from cli.tests.conftest import gostream as gostream
from gostream_devstack.instance.stack import Stack

pytestmark = pytest.mark.stack
Command = Callable[..., Awaitable[Ran]]


@pytest.fixture
def command(gostream: Gostream, stack: Stack) -> Command:
    """Runs a command on the first replica."""
    server = stack.env["GOSTREAM_API_ADDR"].split(",")[0]

    async def run(*arguments: str, code: int = 0) -> Any:
        ran = await gostream(*arguments, "--json", "--timeout", "60", GOSTREAM_API_ADDR=server)
        assert ran.code == code, ran
        return json.loads(ran.stderr if code else ran.stdout)

    return run


@pytest.mark.slow
async def test_video_is_organized_by_commands(command: Command, tmp_path: Path) -> None:
    film, own = tmp_path / "Algebra.mp4", str(uuid4())
    film.write_bytes(b"film")

    async def listed(*options: str) -> list[str]:
        page: Any = await command("ls", "--external-id", own, *options)
        return [video["id"] for video in page["videos"]]

    labels = ("--label", "course=42", "--label", "draft=yes")
    created: Any = await command("upload", str(film), "--no-process", *labels, "--external-id", own)
    assert await listed("--label", "course=42", "--label", "draft", "--title", "algebra") == [created["id"]]

    changed: Any = await command(
        *("update", created["id"], "--title", "Geometry", "--label", "term=2026", "--remove-label", "draft"),
        *("--expire-time", "2099-01-01", "--etag", created["etag"]),
    )
    assert (changed["title"], changed["labels"]) == ("Geometry", {"course": "42", "term": "2026"})
    assert changed["expire_time"] == "2099-01-01T00:00:00Z"
    stale: Any = await command("update", created["id"], "--title", "X", "--etag", created["etag"], code=1)
    assert stale["error"]["reason"] == "ETAG_MISMATCH"

    await command("rm", created["id"], "--yes")
    assert await listed("--deleted", "--created-after", "2026-01-01") == [created["id"]]
    restored: Any = await command("undelete", created["id"])
    assert (restored["title"], restored["external_id"]) == ("Geometry", own)
    await command("rm", created["id"], "--yes", "--permanent")
    gone: Any = await command("undelete", created["id"], code=1)
    assert gone["error"]["reason"] == "VIDEO_NOT_FOUND"


async def test_refused_url_creates_no_video(command: Command) -> None:
    refused: Any = await command("import", "http://127.0.0.1/film.mp4", code=1)

    assert refused["error"]["reason"] == "SOURCE_URL_REFUSED"
