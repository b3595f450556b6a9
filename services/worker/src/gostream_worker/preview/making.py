"""Makes the preview of an encode from its stored segments."""

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from gostream_shared.domain.encode import Encode
from gostream_shared.domain.object_keys import encode_prefix
from gostream_shared.storage.port import ObjectNotFoundError, ObjectStore
from gostream_worker.encode.command import TIME_OFFSET
from gostream_worker.encode.encoder import Encoder
from gostream_worker.failures import ProcessingFailedError
from gostream_worker.media_units import CLOCK
from gostream_worker.object_names import PREVIEW
from gostream_worker.plan.plan import Plan
from gostream_worker.preview.planning import parts_of, preview_arguments, rung_of
from gostream_worker.publish.measure import MeasuredSegments
from gostream_worker.retry import patiently

#: The largest preview in bytes.
LARGEST = 1_000_000
#: Seconds of a film for which ffmpeg may take as long as for the preview.
_SECONDS = 30.0
_log = structlog.stdlib.get_logger("gostream.transcode")


@dataclass(frozen=True, slots=True)
class PreviewRun:
    """The input of one preview besides the film. `patience`: seconds that it waits for the store."""

    encoder: Encoder
    store: ObjectStore
    encode: Encode
    folder: Path
    patience: float


async def write_preview(run: PreviewRun, plan: Plan, measured: MeasuredSegments) -> None:
    """Writes the preview into the folder. A film without one is published all the same.

    Raises BackendUnavailableError and WorkerFullError.
    """
    rung = rung_of(plan).name
    segments = sorted(measured[rung].items())
    if not segments:
        return
    encode, folder = run.encode, run.folder
    starts = {name: found.first_pts / CLOCK - TIME_OFFSET for name, found in segments}
    parts = parts_of(starts, plan.duration)
    try:
        for name in {part.segment for part in parts}:
            key = f"{encode_prefix(encode.video_id, encode.number)}{rung}/{name}"
            data = await patiently(partial(run.store.get, key), patience=run.patience)
            await asyncio.to_thread((folder / _local(name)).write_bytes, data)
        arguments = preview_arguments(plan, [(_local(part.segment), part.begins) for part in parts])
        await run.encoder.run(arguments, folder=folder, duration=_SECONDS, on_progress=lambda _: None)
    except (ProcessingFailedError, ObjectNotFoundError) as error:
        _log.warning("no preview", error=str(error))
        await asyncio.to_thread((folder / PREVIEW).unlink, missing_ok=True)
        return
    await asyncio.to_thread(_require_small, folder / PREVIEW)


def _local(segment: str) -> str:
    return f"preview-{segment}"


def _require_small(path: Path) -> None:
    """Removes a preview that is too large."""
    if path.exists() and (size := path.stat().st_size) > LARGEST:
        _log.warning("no preview", error=f"it has {size} bytes")
        path.unlink()
