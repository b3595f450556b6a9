"""Poster and storyboard: uploaded when the encoder has made them, and missed by nobody when it has not."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from gostream_worker.ffmpeg.argv import POSTER
from gostream_worker.storyboard import CUES, SHEET
from gostream_worker.uploading import CUES_TYPE, PICTURE_TYPE, EncodeUploader


@dataclass(frozen=True, slots=True)
class Stills:
    """Names below the encode's prefix; None is not there."""

    poster: str | None
    storyboard: str | None


async def put_stills(folder: Path, cues: str, uploader: EncodeUploader) -> Stills:
    """Upload what there is in `folder`; the sheet before the `cues` that refer to it."""
    poster = await _put_picture(folder / POSTER, uploader)
    sheet = await _put_picture(folder / SHEET, uploader)
    if sheet:
        await uploader.put(CUES, cues.encode(), content_type=CUES_TYPE)
    return Stills(poster=POSTER if poster else None, storyboard=CUES if sheet else None)


async def _put_picture(path: Path, uploader: EncodeUploader) -> bool:
    if not await asyncio.to_thread(path.exists):
        return False
    await uploader.put(path.name, await asyncio.to_thread(path.read_bytes), content_type=PICTURE_TYPE)
    return True
