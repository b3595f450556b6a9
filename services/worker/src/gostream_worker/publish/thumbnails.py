"""Poster, storyboard and preview. All are optional: a video is published without them if there are none."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gostream_worker.object_names import CUES, POSTER, PREVIEW, SHEET
from gostream_worker.publish.uploader import CUES_TYPE, PICTURE_TYPE, PREVIEW_TYPE, EncodeUploader


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """The bytes of the existing files."""

    poster: bytes | None = None
    sheet: bytes | None = None
    cues: bytes | None = None
    preview: bytes | None = None

    @property
    def storyboard(self) -> Mapping[str, bytes]:
        """Cues and sheet by name below the encode's prefix. Empty without a sheet."""
        return {CUES: self.cues, SHEET: self.sheet} if self.sheet and self.cues else {}

    @property
    def poster_name(self) -> str | None:
        return POSTER if self.poster else None

    @property
    def storyboard_name(self) -> str | None:
        return CUES if self.storyboard else None

    @property
    def preview_name(self) -> str | None:
        return PREVIEW if self.preview else None


async def read_thumbnails(folder: Path, cues: str) -> Thumbnails:
    """Returns the files in `folder`. Without a sheet the `cues` are dropped, since they refer to it."""
    poster = await asyncio.to_thread(_read, folder / POSTER)
    sheet = await asyncio.to_thread(_read, folder / SHEET)
    preview = await asyncio.to_thread(_read, folder / PREVIEW)
    return Thumbnails(poster, sheet, cues.encode() if sheet else None, preview)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


async def put_thumbnails(thumbnails: Thumbnails, uploader: EncodeUploader) -> None:
    """Uploads them, the sheet before the cues that refer to it."""
    for name, data, kind in (
        (POSTER, thumbnails.poster, PICTURE_TYPE),
        (SHEET, thumbnails.sheet, PICTURE_TYPE),
        (CUES, thumbnails.cues, CUES_TYPE),
        (PREVIEW, thumbnails.preview, PREVIEW_TYPE),
    ):
        if data:
            await uploader.put(name, data, content_type=kind)
