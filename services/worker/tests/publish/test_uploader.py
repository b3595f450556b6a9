"""Uploads during the encode."""

import asyncio
import shutil
from pathlib import Path
from typing import cast

import pytest

from gostream_shared.storage.port import ObjectStore
from gostream_worker.publish.uploader import EncodeUploader
from services.worker.tests.clips import Clips, make, picture


def segment(folder: Path) -> Path:
    """Second 20 of a video in a transport stream, as the encoder writes it."""
    late = ["-output_ts_offset", "30", "-muxdelay", "0", "-muxpreload", "0"]
    return make(folder / "second.ts", picture(seconds=1), codecs=["-c:v", "libx264", "-bf", "0", *late])


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


class Shelf:
    """A store that accepts every object."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def put(self, key: str, body: bytes, *, content_type: str, cache_control: str = "") -> None:
        self.keys.append(key)


async def test_folder_is_polled_often_until_every_first_segment(
    clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, waits = Shelf(), list[float]()
    uploader = EncodeUploader(cast("ObjectStore", shelf), "v1/", patience=1.0)

    async def wait(encoded: asyncio.Event, seconds: float) -> None:
        waits.append(seconds)
        match len(waits):
            case 1 | 3:
                rendition = "360p" if len(waits) == 1 else "audio"
                shutil.copy(clip(segment), tmp_path / rendition / "00000.ts")
            case 2 | 4:  # the new segment is being put
                await uploader.news.wait()
                uploader.news.clear()
            case _:
                encoded.set()

    monkeypatch.setattr("gostream_worker.publish.uploader.wait_at_most", wait)
    for name in ("360p", "audio"):
        (tmp_path / name).mkdir()
    async with asyncio.timeout(300):
        measured = await uploader.follow(tmp_path, ["360p", "audio"], asyncio.Event())

    assert waits == [0.05] * 4 + [0.25]
    assert shelf.keys == ["v1/360p/00000.ts", "v1/audio/00000.ts"]
    assert {name: list(parts) for name, parts in measured.items()} == {
        "360p": ["00000.ts"],
        "audio": ["00000.ts"],
    }
    assert uploader.news.is_set(), "waiting readers are woken at the end"
    assert files(tmp_path) == [], "stored segments are removed from disk"


async def test_stored_segment_reports_its_position(clip: Clips, tmp_path: Path) -> None:
    uploader = EncodeUploader(cast("ObjectStore", Shelf()), "v1/", patience=1.0)
    heard, encoded = list[float](), asyncio.Event()
    uploader.on_stored = heard.append
    (tmp_path / "360p").mkdir()
    shutil.copy(clip(segment), tmp_path / "360p" / "00000.ts")
    encoded.set()

    await uploader.follow(tmp_path, ["360p"], encoded)

    assert heard == pytest.approx([20], abs=0.01)
