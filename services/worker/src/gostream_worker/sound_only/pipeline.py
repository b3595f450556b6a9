"""Encodes a source without a picture, up to the publication."""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog

from gostream_shared.concurrency import task_group
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.video import MediaKind, Publication, Source
from gostream_shared.domain.videos.loudness import Loudness
from gostream_worker.encode.encoder import Encoder
from gostream_worker.encode.levels import (
    ERRORS_PER_SECOND,
    LevelRun,
    levelled,
    loudness_of,
    source_of,
)
from gostream_worker.encode.sound_only import SoundSource, cover_arguments, sound_arguments
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.metrics import ENCODER_SPEED
from gostream_worker.object_names import POSTER
from gostream_worker.plan.sound_only import SoundPlan, plan_sound
from gostream_worker.probe.model import Probe
from gostream_worker.progress import ProgressReporter
from gostream_worker.publish.conformance import require_playlists
from gostream_worker.publish.measure import MeasuredSegments
from gostream_worker.publish.publisher import Prepared
from gostream_worker.publish.thumbnails import Thumbnails, put_thumbnails, read_thumbnails
from gostream_worker.publish.uploader import PLAYLIST_TYPE, EncodeUploader
from gostream_worker.sandbox.allowlist import loopback_port
from gostream_worker.sound_only.presentation import SoundPresentation, present_sound
from gostream_worker.source.open_source import OpenSource

_log = structlog.stdlib.get_logger("gostream.transcode")


@dataclass(frozen=True, slots=True)
class SoundRun:
    """The input of one attempt."""

    encode: Encode
    folder: Path
    source: OpenSource
    encoder: Encoder
    uploader: EncodeUploader
    reporter: ProgressReporter


async def prepare_sound(found: Probe, run: SoundRun) -> Prepared:
    """Encodes, checks and stores everything except the master playlist. Nothing refers to it yet.

    There is no early playback: sound is encoded many times faster than it is heard. Raises
    ProcessingFailedError, WorkerFullError and BackendUnavailableError.
    """
    plan = plan_sound(found, tries=run.encode.tries)
    _log.info("planned", sounds=len(plan.sounds), rates=plan.rates, source=plan.sounds[0].audio.codec)
    run.reporter.enter("encoding")
    source = source_of(found, run.source.url)
    level = LevelRun(run.encoder, source, run.folder, plan.duration)
    plan = replace(plan, sounds=await levelled(plan.sounds, run.encode.loudness, level))
    measured = await _encode(plan, source, run)
    await _take_cover(plan.cover, source, run)
    run.reporter.enter("publishing")
    presentation = await asyncio.to_thread(present_sound, plan, measured, run.encode)
    thumbnails = await read_thumbnails(run.folder, "")
    await require_playlists(presentation.playlists, presentation.master, measured, number=run.encode.number)
    await _store(presentation, thumbnails, run)
    return Prepared(
        source=run.source.version,
        master=presentation.master,
        publication=_publication(found, plan, presentation, thumbnails, run, await loudness_of(run.folder)),
        stored_bytes=sum(run.uploader.uploaded.values()),
    )


async def _encode(plan: SoundPlan, source: SoundSource, run: SoundRun) -> MeasuredSegments:
    for name in plan.renditions:
        (run.folder / name).mkdir()
    encoded = asyncio.Event()
    run.uploader.on_stored = partial(run.reporter.note_stored, plan.duration)
    async with task_group() as tasks:
        uploading = tasks.create_task(run.uploader.follow(run.folder, plan.renditions, encoded))
        try:
            report = await run.encoder.run(
                sound_arguments(plan, source, folder=".", attempt=run.encode.attempt),
                folder=run.folder,
                duration=plan.duration,
                on_progress=partial(run.reporter.note_encoder, plan.duration),
                port=loopback_port(source.url),
                expected_errors=round(plan.duration * ERRORS_PER_SECOND),
            )
        except ProcessingFailedError as error:
            if len(plan.sounds) == 1 or error.code is not Code.CORRUPT_STREAM:
                raise
            why = f"damaged tracks: {error.detail}"  # a later attempt leaves out the other sounds
            raise ProcessingFailedError(Code.INTERNAL, why, log_tail=error.log_tail) from error
        encoded.set()
    ENCODER_SPEED.observe(plan.duration / max(report.seconds, 0.001))
    _log.info("encoded", seconds=round(report.seconds, 2), damaged_frames=report.damaged)
    return uploading.result()


async def _take_cover(cover: int | None, source: SoundSource, run: SoundRun) -> None:
    """Writes the poster. A cover picture that cannot be decoded leaves the sound without a poster."""
    if cover is None:
        return
    try:
        await run.encoder.run(
            cover_arguments(cover, source, folder="."),
            folder=run.folder,
            duration=0.0,
            on_progress=lambda _: None,
            port=loopback_port(source.url),
        )
    except ProcessingFailedError as error:
        _log.info("no poster", code=error.code, detail=error.detail)
        await asyncio.to_thread((run.folder / POSTER).unlink, missing_ok=True)


async def _store(presentation: SoundPresentation, thumbnails: Thumbnails, run: SoundRun) -> None:
    async with task_group() as puts:
        for name, text in presentation.playlists.items():
            puts.create_task(run.uploader.put(name, text.encode(), content_type=PLAYLIST_TYPE))
        puts.create_task(put_thumbnails(thumbnails, run.uploader))
    await run.uploader.verify()


def _publication(
    found: Probe,
    plan: SoundPlan,
    presentation: SoundPresentation,
    thumbnails: Thumbnails,
    run: SoundRun,
    loudness: Loudness | None,
) -> Publication:
    poster = thumbnails.poster_name
    return Publication(
        duration=timedelta(seconds=presentation.seconds),
        source=Source(
            container=found.container,
            codecs=tuple(dict.fromkeys(sound.audio.codec for sound in plan.sounds)),
            size_bytes=found.size_bytes,
            fps=0.0,
        ),
        renditions=presentation.renditions,
        poster=f"v{run.encode.number}/{poster}" if poster else None,
        tracks=plan.tracks,
        media_kind=MediaKind.AUDIO,
        loudness=loudness,
    )
