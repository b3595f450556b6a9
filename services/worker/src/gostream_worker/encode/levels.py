"""Reads what the loudness meter of the encoder has printed."""

import asyncio
from pathlib import Path

from gostream_shared.domain.loudness import Loudness
from gostream_worker.encode.loudness import read_meter
from gostream_worker.object_names import LEVELS


async def loudness_of(folder: Path) -> Loudness | None:
    """Returns the loudness of the default sound of the run in `folder`; None if it was not measured."""
    return await asyncio.to_thread(_read, folder / LEVELS)


def _read(path: Path) -> Loudness | None:
    return read_meter(path.read_text("ascii", "replace")) if path.exists() else None
