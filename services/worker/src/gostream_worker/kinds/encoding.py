"""Assembles the jobs that encode films: plans, chunks, and publications."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

from gostream_shared.jobs.pgqueuer import CHUNK, FINISH, TRANSCODE, chunk_job, finish_job, transcode_job
from gostream_worker.chunks.chunk_service import ChunkService
from gostream_worker.chunks.dependencies import Dependencies, Settings
from gostream_worker.chunks.finish_service import FinishService
from gostream_worker.chunks.queue import begin_chunk, begin_finish, plan_anew
from gostream_worker.config import WorkerConfig
from gostream_worker.encode.encoder import Encoder
from gostream_worker.jobs.attempts import FINISHES, Attempts
from gostream_worker.jobs.consumer import JobKind, reading
from gostream_worker.jobs.disk_space import DiskSpace
from gostream_worker.jobs.settling.chunk_tries import ChunkTries
from gostream_worker.jobs.settling.endings import Endings
from gostream_worker.plan.profiles import PROFILES
from gostream_worker.probe.limits import SourceLimits, largest_picture
from gostream_worker.probe.probe import StartProbe
from gostream_worker.publish.early_playback import end_lists
from gostream_worker.source.work_directory import WorkDirectory
from gostream_worker.transcode_service import TranscodeService

#: Films in chunks that are published at the same time.
_FINISHES = 2


async def encoding_jobs(
    config: WorkerConfig,
    dependencies: Dependencies,
    work: WorkDirectory,
    start_probe: StartProbe,
    room: DiskSpace,
    *,
    worker: str,
) -> dict[str, JobKind]:
    """Returns the kinds of jobs by which that worker encodes films. Plans and chunks share the slots."""
    encoder = encoder_of(config)
    settings = replace(_settings(config), encoder_version=await encoder.version())
    attempts = partial(
        Attempts,
        dependencies.database,
        announcer=dependencies.announcer,
        end_early=partial(end_lists, dependencies.store),
        worker=worker,
        outage_patience=config.outage_patience,
        found_full=room.found_full,
    )
    plans = TranscodeService(dependencies, encoder, work, settings, start_probe=start_probe)
    chunks = ChunkService(dependencies, encoder, work, settings)
    finishes = FinishService(dependencies, encoder, work, settings)
    finishing = attempts(
        pipeline=finishes.run,
        begin=partial(begin_finish, dependencies.database),
        kind=FINISHES,
        plan_anew=partial(plan_anew, dependencies.database),
    )
    kind = partial(JobKind, has_room=lambda: room.is_free)
    shared = partial(kind, slots=config.slots, pool="encoding")
    return {
        TRANSCODE: shared(reading(transcode_job, attempts(pipeline=plans.run).transcode)),
        CHUNK: shared(reading(chunk_job, _tries(config, dependencies, chunks, room, worker).encode)),
        FINISH: kind(reading(finish_job, finishing.transcode), slots=_FINISHES if config.slots else 0),
    }


def _tries(
    config: WorkerConfig, dependencies: Dependencies, chunks: ChunkService, room: DiskSpace, worker: str
) -> ChunkTries:
    database = dependencies.database
    return ChunkTries(
        database.chunks,
        chunks.run,
        partial(begin_chunk, database, worker=worker),
        partial(plan_anew, database),
        Endings(database, dependencies.announcer, partial(end_lists, dependencies.store)),
        outage_patience=config.outage_patience,
        found_full=room.found_full,
    )


def encoder_of(config: WorkerConfig) -> Encoder:
    return Encoder(
        config.ffmpeg_path or Path(get_ffmpeg_exe()),
        memory=config.encoder_memory_bytes,
        sandbox_required=config.sandbox == "required",
    )


def _settings(config: WorkerConfig) -> Settings:
    limits = SourceLimits(
        max_bytes=config.source_max_bytes,
        max_duration=config.source_max_duration.total_seconds(),
        max_pixels=largest_picture(config.encoder_memory_bytes),
        max_pixel_rate=config.source_max_pixel_rate,
    )
    return Settings(
        profiles=PROFILES,
        limits=limits,
        max_copied_bytes=config.source_max_copied_bytes,
        chunk_window=config.chunk_window,
        previews=config.previews,
        sandbox_required=config.sandbox == "required",
    )
