"""Runs the encoder for a plan, and decides about damage in copied tracks."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from gostream_worker.encode.command import encode_arguments
from gostream_worker.encode.encoder import Encoder, EncodeReport, OnProgress
from gostream_worker.encode.progress_parser import EncoderProgress
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.plan.plan import Plan
from gostream_worker.sandbox.allowlist import loopback_port


async def run_plan(
    encoder: Encoder, plan: Plan, *, source: str, folder: Path, attempt: int, on_progress: OnProgress
) -> EncodeReport:
    """Encodes the source into `folder`.

    Damage is INTERNAL instead of CORRUPT_STREAM if a later attempt may avoid it: it encodes copied tracks,
    and at last leaves out all sounds but the film's own. Raises ProcessingFailedError and WorkerFullError.
    """
    is_copying = plan.copied is not None or plan.copies_sound
    may_avoid = is_copying or len(plan.sounds) > 1
    try:
        report = await encoder.run(
            encode_arguments(plan, source=source, folder=".", attempt=attempt),
            folder=folder,
            duration=plan.decoded,
            silent=float(plan.clip.start) if plan.clip else 0.0,
            pixel_rate=plan.video.pixel_rate,
            on_progress=partial(_report, plan, on_progress),
            port=loopback_port(source),
            expected_errors=plan.video.leading,
            may_step=plan.picture_ends is not None,
        )
    except ProcessingFailedError as error:
        if not may_avoid or error.code is not Code.CORRUPT_STREAM:
            raise
        raise _avoidable(error.detail, error.log_tail) from error
    if is_copying and report.damaged:
        raise _avoidable(f"{report.damaged} errors", report.log_tail)
    return report


def _report(plan: Plan, on_progress: OnProgress, found: EncoderProgress) -> None:
    """Reports the position of the picture.

    ffmpeg's position is that of the track that is ahead, and the gap before a text is one long packet.
    """
    if plan.texts and found.position is not None:
        found = replace(found, position=min(found.position, float(found.frames / plan.fps)))
    on_progress(found)


def _avoidable(why: str, log_tail: str) -> ProcessingFailedError:
    return ProcessingFailedError(Code.INTERNAL, f"damaged tracks: {why}", log_tail=log_tail)
