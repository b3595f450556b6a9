"""Measures the loudness of sounds, and decides about their gain."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from gostream_shared.domain.videos.loudness import LUFS, Loudness, LoudnessTarget
from gostream_worker.encode.encoder import Encoder
from gostream_worker.encode.loudness import gain_to, read_meter
from gostream_worker.encode.sound_only import SoundSource, measuring_arguments
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.object_names import LEVELS, levels_of
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.sounds import Sound
from gostream_worker.probe.model import Probe
from gostream_worker.sandbox.allowlist import loopback_port

_log = structlog.stdlib.get_logger("gostream.transcode")

#: Errors per second of sound that are published: 2 % of the frames of MPEG audio.
ERRORS_PER_SECOND = 0.75


@dataclass(frozen=True, slots=True)
class LevelRun:
    """The input of a run that measures: `duration` in seconds, outputs in `folder`."""

    encoder: Encoder
    source: SoundSource
    folder: Path
    duration: float


def source_of(found: Probe | Plan, url: str) -> SoundSource:
    """Returns the probed source at that URL."""
    return SoundSource(
        url=url,
        is_fragmented=found.is_fragmented,
        whole_bytes=found.whole_bytes,
        ignores_edits=found.ignores_edits,
    )


async def levelled(
    sounds: tuple[Sound, ...], target: LoudnessTarget | None, run: LevelRun
) -> tuple[Sound, ...]:
    """Returns the sounds with the gain that brings each to the target; unchanged without a target.

    Reads the source an additional time. Sound with a gain is encoded. If sound is too damaged to be measured,
    the gains are zero. Raises ProcessingFailedError and WorkerFullError.
    """
    if target is None or not sounds:
        return sounds
    try:
        await run.encoder.run(
            measuring_arguments(sounds, run.source, folder=".", duration=run.duration),
            folder=run.folder,
            duration=run.duration,
            on_progress=lambda _: None,
            port=loopback_port(run.source.url),
            expected_errors=round(run.duration * ERRORS_PER_SECOND),
        )
    except ProcessingFailedError as error:
        if error.code is not Code.CORRUPT_STREAM:
            raise
        _log.warning("loudness not measured", detail=error.detail)
        return sounds
    found = await asyncio.to_thread(_read_all, run.folder, len(sounds))
    gains = [gain_to(LUFS[target], loudness) for loudness in found]
    _log.info("measured", loudness=[each and each.integrated_lufs for each in found], gains=gains)
    return tuple(
        replace(sound, gain=gain, is_copied=sound.is_copied and not gain)
        for sound, gain in zip(sounds, gains, strict=True)
    )


async def loudness_of(folder: Path) -> Loudness | None:
    """Returns the loudness of the default sound of the encode in `folder`; None if it was not measured."""
    return await asyncio.to_thread(_read, folder / LEVELS)


def _read_all(folder: Path, count: int) -> list[Loudness | None]:
    return [_read(folder / levels_of(number)) for number in range(count)]


def _read(path: Path) -> Loudness | None:
    return read_meter(path.read_text("ascii", "replace")) if path.exists() else None
