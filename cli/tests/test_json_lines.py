"""`--json` prints one document per line in every command."""

import json
from pathlib import Path

import pytest

from tests.support.fake_server import VIDEO_ID, ApiServer, Video, processing, video

from .conftest import Gostream

READY = video(Video.STATUS_READY, 3)


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        (("get", VIDEO_ID), 1),
        (("ls",), 1),
        (("process", VIDEO_ID), 1),
        (("process", VIDEO_ID, "--watch"), 2),
        (("cancel", VIDEO_ID), 1),
        (("rm", VIDEO_ID, "--yes"), 1),
        (("update", VIDEO_ID, "--title", "T"), 1),
        (("undelete", VIDEO_ID), 1),
        (("import", "https://example.com/a.mp4"), 2),
        (("import", "https://example.com/a.mp4", "--no-watch"), 1),
        (("watch", VIDEO_ID), 2),
        (("upload", "film.mp4"), 1),
        (("upload", "film.mp4", "--no-process"), 1),
        (("upload", "film.mp4", "--watch"), 2),
        (("verify", "."), 1),
    ],
)
async def test_every_line_is_one_document(
    gostream: Gostream,
    server: ApiServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    lines: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "film.mp4").write_bytes(b"film")
    (tmp_path / "master.m3u8").write_text("#EXTM3U\n")
    server.api.streams.append([processing(50), READY])
    ran = await gostream(*command, "--json", GOSTREAM_API_ADDR=server.address)
    documents = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(documents) == lines, ran
    assert all(isinstance(document, dict) for document in documents)
