"""What all chunks of a film have made, as the publication needs it."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gostream_shared.domain.companions.chunks import DoneChunk
from gostream_shared.domain.videos.loudness import Loudness
from gostream_worker.chunks.stored import HEARD, ChunkOutput, Heard, heard_from, output_from
from gostream_worker.encode.command import sheet_arguments
from gostream_worker.encode.encoder import Encoder, EncodeReport
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.ffmpeg_log import MAX_ERROR_RATE
from gostream_worker.object_names import POSTER, SHEET
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.storyboard import poster_chunks
from gostream_worker.plan.texts import Text
from gostream_worker.publish.measure import Measured, MeasuredSegments
from gostream_worker.text.reader import Read

#: Seconds for which the sheet may take as long as a film of that duration.
_SHEET_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """The stored segments of a film with their measures, its texts, and what was found while it was decoded.

    `sizes` in bytes are by path below the encode's prefix. `has_leftovers`: lost tries may have stored other
    objects.
    """

    measured: MeasuredSegments
    texts: Mapping[Text, Read]
    new_sound: bool
    loudness: Loudness | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    has_leftovers: bool = False


def whole_film(
    plan: Plan,
    measured: MeasuredSegments,
    texts: Sequence[Read],
    report: EncodeReport,
    loudness: Loudness | None,
) -> Film:
    """Returns the film of one worker, which has recorded the sizes itself."""
    return Film(
        measured=measured,
        texts=dict(zip(plan.texts, texts, strict=True)),
        new_sound=report.new_sound,
        loudness=loudness,
    )


def joined_film(plan: Plan, done: Sequence[DoneChunk]) -> Film:
    """Returns the film of the chunks in the database.

    Raises ProcessingFailedError: CORRUPT_STREAM if too much of it is damaged, INTERNAL if a segment is
    missing between others.
    """
    outputs = [output_from(chunk.segments) for chunk in done]
    _require_few_errors(plan, outputs)
    measured: dict[str, dict[str, Measured]] = {name: {} for name in plan.renditions}
    segments = [segment for output in outputs for segment in output.segments]
    for segment in sorted(segments, key=lambda segment: segment.name):
        rendition, _, name = segment.name.partition("/")
        measured[rendition][name] = segment.measure
    _require_no_gaps(measured)
    heard = next((heard_from(chunk.files[HEARD]) for chunk in done if HEARD in chunk.files), Heard(texts=()))
    return Film(
        measured=measured,
        texts=dict(zip(plan.texts, heard.texts, strict=True)),
        loudness=heard.loudness,
        new_sound=any(output.new_sound for output in outputs),
        sizes={segment.name: segment.size for segment in segments},
        has_leftovers=any(chunk.tries > 1 for chunk in done),
    )


def _require_few_errors(plan: Plan, outputs: Sequence[ChunkOutput]) -> None:
    damaged = sum(output.damaged for output in outputs)
    frames = math.ceil(plan.duration * plan.fps)
    if damaged > max(1.0, frames * MAX_ERROR_RATE):
        raise ProcessingFailedError(Code.CORRUPT_STREAM, f"{damaged} errors in {frames} frames")


def _require_no_gaps(measured: MeasuredSegments) -> None:
    for rendition, parts in measured.items():
        for expected, name in enumerate(parts):
            if not name.startswith(f"{expected:05d}"):
                raise ProcessingFailedError(Code.INTERNAL, f"{rendition} has no segment {expected}")


async def write_thumbnails(encoder: Encoder, plan: Plan, done: Sequence[DoneChunk], folder: Path) -> None:
    """Writes the poster and the storyboard's sheet into the folder, if the chunks have made any.

    Raises ProcessingFailedError and WorkerFullError.
    """
    files = {chunk.chunk: chunk.files for chunk in done}
    posters = [files[chunk.number].get(POSTER) for chunk in poster_chunks(plan) if chunk.number in files]
    poster = next((data for data in posters if data), None)
    if poster:
        await asyncio.to_thread((folder / POSTER).write_bytes, poster)
    tiles = {name: data for found in files.values() for name, data in found.items() if name.endswith(".png")}
    for name, data in tiles.items():
        await asyncio.to_thread((folder / name).write_bytes, data)
    if tiles:
        arguments = sheet_arguments(plan, folder=".")
        await encoder.run(arguments, folder=folder, duration=_SHEET_SECONDS, on_progress=lambda _: None)


def thumbnail_files(folder: Path) -> dict[str, bytes]:
    """Returns the poster and the tiles that a chunk has made, by name."""
    found = [*folder.glob("*.png"), folder / POSTER]
    return {path.name: path.read_bytes() for path in found if path.exists() and path.name != SHEET}
