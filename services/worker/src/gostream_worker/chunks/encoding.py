"""Encodes one chunk and stores its segments. A short film is a single chunk."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from gostream_shared.concurrency import task_group
from gostream_shared.domain.videos.loudness import LoudnessTarget
from gostream_worker.encode.closing import CounterClosing
from gostream_worker.encode.encoder import Encoder, EncodeReport, OnProgress
from gostream_worker.encode.run_plan import run_plan, seconds_of
from gostream_worker.metrics import ENCODER_SPEED
from gostream_worker.object_names import text_copy
from gostream_worker.plan.chunks import Chunk, ChunkKind
from gostream_worker.plan.plan import Plan
from gostream_worker.publish.subtitles import shown_in
from gostream_worker.publish.uploader import EncodeUploader
from gostream_worker.text.reader import Read, TextFile, read_texts

_log = structlog.stdlib.get_logger("gostream.transcode")
#: Digits of the number in the name of a segment.
_DIGITS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkInput:
    """The input of one encoder run. `names`: the number in the names of the segments."""

    plan: Plan
    chunk: Chunk
    folder: Path
    source: str
    names: int
    loudness: LoudnessTarget | None = None


def renditions_of(plan: Plan, chunk: Chunk) -> list[str]:
    """Returns the folders of the rungs and sounds that the chunk encodes."""
    rungs = [rung.name for rung in plan.rungs] if chunk.has_picture else []
    return [*rungs, *(sound.folder for sound in plan.sounds if chunk.has_sound)]


class SegmentClosing:
    """Closes the continuity counters of a chunk of picture, segment by segment."""

    def __init__(self, plan: Plan, chunk: Chunk) -> None:
        self._last: int | None = None
        self._rungs: dict[str, CounterClosing] = {}
        if chunk.kind is not ChunkKind.PICTURE:
            return
        first = chunk.start_frame // plan.segment_frames
        self._rungs = {rung.name: CounterClosing(first) for rung in plan.rungs}
        if chunk.frames is not None:
            self._last = first + chunk.frames // plan.segment_frames - 1

    def __call__(self, path: Path, data: bytes) -> bytes:
        """Returns the segment to store. Raises ProcessingFailedError."""
        closing = self._rungs.get(path.parent.name)
        if closing is None or not data:
            return data
        return closing.close(data, is_last=int(path.name[:_DIGITS]) == self._last)


async def encode_chunk(
    encoder: Encoder,
    uploader: EncodeUploader,
    run: ChunkInput,
    *,
    follow: Callable[[asyncio.Event], Coroutine[Any, Any, None]],
    on_progress: OnProgress,
) -> EncodeReport:
    """Encodes the chunk and uploads its segments at the same time. `follow` runs until its event is set.

    Raises ProcessingFailedError, WorkerFullError and BackendUnavailableError.
    """
    renditions = renditions_of(run.plan, run.chunk)
    for name in renditions:
        (run.folder / name).mkdir()
    encoded = asyncio.Event()
    async with task_group() as tasks:
        uploading = tasks.create_task(uploader.follow(run.folder, renditions, encoded))
        tasks.create_task(follow(encoded))
        report = await run_plan(
            encoder,
            run.plan,
            run.chunk,
            source=run.source,
            folder=run.folder,
            attempt=run.names,
            loudness=run.loudness,
            on_progress=on_progress,
        )
        encoded.set()
    uploader.measured = {name: dict(parts) for name, parts in uploading.result().items()}
    if run.chunk.has_picture:
        ENCODER_SPEED.observe(seconds_of(run.plan, run.chunk) / max(report.seconds, 0.001))
    _log.info("encoded", seconds=round(report.seconds, 2), damaged_frames=report.damaged)
    return report


async def read_chunk_texts(plan: Plan, folder: Path, *, sandbox_required: bool) -> list[Read]:
    """Returns what each text of the plan says, from the copies in the folder."""
    files = [
        TextFile(file=text_copy(text.folder), codec=text.codec, language=text.language or "")
        for text in plan.texts
    ]
    found = await read_texts(files, folder, sandbox_required=sandbox_required)
    return [shown_in(plan.clip, cues) for cues in found]
