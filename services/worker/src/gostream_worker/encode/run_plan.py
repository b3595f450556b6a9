"""Runs the encoder for a plan, and decides about damage in copied tracks."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from gostream_shared.domain.videos.loudness import LoudnessTarget
from gostream_worker.encode.command import chunk_arguments
from gostream_worker.encode.encoder import Encoder, EncodeReport, OnProgress
from gostream_worker.encode.levels import LevelRun, levelled, source_of
from gostream_worker.encode.progress_parser import EncoderProgress
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.plan.chunks import WHOLE, Chunk, ChunkKind
from gostream_worker.plan.plan import Plan
from gostream_worker.sandbox.allowlist import loopback_port


async def run_plan(
    encoder: Encoder,
    plan: Plan,
    chunk: Chunk = WHOLE,
    *,
    source: str,
    folder: Path,
    attempt: int,
    on_progress: OnProgress,
    loudness: LoudnessTarget | None = None,
) -> EncodeReport:
    """Encodes a chunk of the source into `folder`, with sounds of that loudness.

    Damage is INTERNAL instead of CORRUPT_STREAM if another plan may avoid it: it encodes copied tracks, and
    at last leaves out all sounds but the film's own. Raises ProcessingFailedError and WorkerFullError.
    """
    level = LevelRun(encoder, source_of(plan, source), folder, plan.duration)
    if chunk.has_sound:
        plan = replace(plan, sounds=await levelled(plan.sounds, loudness, level))
    is_copying = plan.copied is not None or plan.copies_sound
    may_avoid = chunk.has_sound and (is_copying or len(plan.sounds) > 1)
    try:
        report = await encoder.run(
            chunk_arguments(plan, chunk, source=source, folder=".", attempt=attempt),
            folder=folder,
            duration=_decoded(plan, chunk),
            silent=float(plan.clip.start) if plan.clip else 0.0,
            pixel_rate=plan.video.pixel_rate if chunk.has_picture else 0.0,
            on_progress=partial(_report, plan, chunk, on_progress),
            port=loopback_port(source),
            expected_errors=plan.video.leading,
            may_step=plan.picture_ends is not None,
            # One damaged minute of a long film is a small part of it. The film is judged in the end.
            least_frames=0 if chunk.kind is ChunkKind.WHOLE else round(plan.duration * plan.fps),
        )
    except ProcessingFailedError as error:
        if not may_avoid or error.code is not Code.CORRUPT_STREAM:
            raise
        raise _avoidable(error.detail, error.log_tail) from error
    if is_copying and chunk.has_sound and report.damaged:
        raise _avoidable(f"{report.damaged} errors", report.log_tail)
    return report


def seconds_of(plan: Plan, chunk: Chunk) -> float:
    """Returns the seconds of the film that a chunk of the picture has."""
    if chunk.kind is ChunkKind.WHOLE:
        return plan.duration
    begins = float(chunk.start_frame / plan.fps)
    return max(0.0, plan.duration - begins) if chunk.frames is None else float(chunk.frames / plan.fps)


def _report(plan: Plan, chunk: Chunk, on_progress: OnProgress, found: EncoderProgress) -> None:
    """Reports the position of the picture, from the beginning of the chunk.

    ffmpeg's position is that of the track that is ahead, the gap before a text is one long packet, and a
    chunk has the timestamps of the film.
    """
    pictured = float(found.frames / plan.fps)
    if chunk.kind is ChunkKind.PICTURE:
        found = replace(found, position=pictured)
    elif plan.texts and chunk.has_picture and found.position is not None:
        found = replace(found, position=min(found.position, pictured))
    on_progress(found)


def _avoidable(why: str, log_tail: str) -> ProcessingFailedError:
    return ProcessingFailedError(Code.INTERNAL, f"damaged tracks: {why}", log_tail=log_tail)


def _decoded(plan: Plan, chunk: Chunk) -> float:
    """Returns the seconds of the source that are decoded. A clip is a part of a film in one chunk."""
    if plan.clip:
        return plan.decoded
    return seconds_of(plan, chunk) if chunk.has_picture else plan.duration
