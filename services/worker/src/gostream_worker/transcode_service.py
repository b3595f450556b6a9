"""The pipeline from an uploaded object to a published stream. Every step can be repeated."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import UUID

import structlog

from gostream_shared.domain.encode import Encode
from gostream_shared.domain.object_keys import encode_prefix, source_key
from gostream_shared.domain.video import Video
from gostream_worker.chunks.dependencies import Dependencies, Settings
from gostream_worker.chunks.encoding import ChunkInput, encode_chunk, read_chunk_texts
from gostream_worker.chunks.faults import expected_errors
from gostream_worker.chunks.film import Film, whole_film
from gostream_worker.chunks.finishing import prepare_film, publish_film
from gostream_worker.chunks.queue import fan_out
from gostream_worker.chunks.stored import Planned
from gostream_worker.encode.encoder import Encoder
from gostream_worker.encode.levels import loudness_of
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.plan.chunks import WHOLE
from gostream_worker.plan.clip import require_whole, with_options
from gostream_worker.plan.ladder import plan_attempt
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.profiles import Profile
from gostream_worker.preview.making import PreviewRun, write_preview
from gostream_worker.probe.limits import admit
from gostream_worker.probe.model import Probe
from gostream_worker.probe.probe import StartedProbe, StartProbe, starting_probe
from gostream_worker.progress import ProgressReporter
from gostream_worker.publish.early_playback import EarlyStream, mark_playable
from gostream_worker.publish.publisher import Prepared
from gostream_worker.publish.uploader import EncodeUploader
from gostream_worker.retry import patiently
from gostream_worker.sound_only.pipeline import SoundRun, prepare_sound
from gostream_worker.source.open_source import open_source
from gostream_worker.source.work_directory import WorkDirectory

__all__ = ["Dependencies", "Settings", "TranscodeService"]
_log = structlog.stdlib.get_logger("gostream.transcode")


class TranscodeService:
    """Runs one attempt of one encode: the plan, and all of a short film."""

    def __init__(
        self,
        dependencies: Dependencies,
        encoder: Encoder,
        work: WorkDirectory,
        settings: Settings,
        start_probe: StartProbe = starting_probe,
    ) -> None:
        self._dependencies = dependencies
        self._encoder = encoder
        self._work = work
        self._settings = settings
        self._start_probe = start_probe

    async def run(self, encode: Encode) -> Video | None:
        """Encodes and publishes a film of one chunk. Returns the READY video.

        Returns None if the film has several chunks, for which jobs are enqueued. Raises
        ProcessingFailedError, FenceLostError, and for transient conditions BackendUnavailableError and
        WorkerFullError. Publishes nothing unless it succeeds, and leaves nothing on the disk.
        """
        backends = self._dependencies
        before = await backends.database.encodes.progress(encode.video_id, encode.number)
        reporter = ProgressReporter(
            encode, backends.database.encodes, backends.publisher, floor=before.percent if before else 0.0
        )
        uploader = EncodeUploader(
            backends.store,
            encode_prefix(encode.video_id, encode.number),
            patience=self._settings.step_patience,
        )
        with expected_errors(lambda: reporter.stage):
            async with self._start_probe() as probe:  # before the source is fetched: the start takes time
                async with self._work.attempt() as folder, reporter.reporting():
                    prepared = await self._prepare(encode, folder, probe, uploader, reporter)
                # From here on the row lock is the fence. The reporter has stopped, since READY encodes take
                # no reports.
                return await publish_film(backends, self._settings, encode, prepared) if prepared else None

    @asynccontextmanager
    async def _holding_fence(self, encode: Encode) -> AsyncIterator[None]:
        """Keeps other attempts from beginning while the block runs.

        Raises FenceLostError if one did earlier.
        """
        async with self._dependencies.database.transaction() as transaction:
            await transaction.encodes.lock_for_publish(encode)
            yield

    async def _prepare(
        self,
        encode: Encode,
        folder: Path,
        probe: StartedProbe,
        uploader: EncodeUploader,
        reporter: ProgressReporter,
    ) -> Prepared | None:
        """Does everything except the publication; of a film with several chunks, only the plan."""
        profile = self._settings.profiles.get(encode.profile)
        if profile is None:
            raise ProcessingFailedError(Code.UNKNOWN_PROFILE, f"unknown profile {encode.profile!r}")
        reporter.enter("fetching")
        async with open_source(
            self._dependencies.store,
            await self._source_key(encode.video_id),
            folder,
            self._settings.limits,
            max_copied=self._settings.max_copied_bytes,
        ) as source:
            reporter.enter("probing")
            # A failed encode may have shown that a streamed broadcast must first be read completely.
            found = await probe.inspect(
                source.url, folder=folder, patience=source.patience, reads_whole=encode.tries > 1
            )
            admit(found, self._settings.limits)
            if found.video is None:
                require_whole(encode.options)
                run = SoundRun(encode, folder, source, self._encoder, uploader, reporter)
                return await prepare_sound(found, run)
            plan = self._plan(found, profile, encode)
            planned = Planned(
                probe=found, plan=plan, source=source.version, encoder=self._settings.encoder_version
            )
            if not plan.is_whole:
                window = self._settings.chunk_window
                await fan_out(self._dependencies.database, encode, planned, window=window)
                return None
            reporter.enter("encoding")
            early = self._early_stream(encode, plan, uploader)
            film = await self._encode_whole(encode, plan, folder, source.url, uploader, early, reporter)
        reporter.enter("publishing")
        if self._settings.previews:
            preview = PreviewRun(
                self._encoder, self._dependencies.store, encode, folder, self._settings.step_patience
            )
            await write_preview(preview, plan, film.measured)
        return await prepare_film(
            self._dependencies, self._settings, encode, planned, film, folder, uploader, early.end
        )

    def _plan(self, found: Probe, profile: Profile, encode: Encode) -> Plan:
        """Returns the plan. After a failure one process encodes the film, which tolerates every source."""
        is_first = encode.tries == 1 and not encode.chunk_tries and not encode.options.is_clip
        may_divide = self._settings.chunk_window > 0 and is_first
        plan = plan_attempt(found, profile, tries=encode.tries, may_divide=may_divide)
        plan = with_options(plan, encode.options)
        _log_plan(plan)
        return plan

    def _early_stream(self, encode: Encode, plan: Plan, uploader: EncodeUploader) -> EarlyStream:
        return EarlyStream(
            plan,
            uploader,
            partial(self._announce_playable, encode),
            partial(self._holding_fence, encode),
            follows=encode.attempt > 1,
        )

    async def _source_key(self, video_id: UUID) -> str:
        remote = await self._dependencies.database.remote_sources.get(video_id)
        return (remote.key if remote else "") or source_key(video_id)

    async def _announce_playable(self, encode: Encode) -> None:
        video = await patiently(
            lambda: mark_playable(self._dependencies.database, self._dependencies.store, encode),
            patience=self._settings.step_patience,
        )
        await self._dependencies.announcer.announce(video.id, video.version)
        _log.info("playable")

    async def _encode_whole(
        self,
        encode: Encode,
        plan: Plan,
        folder: Path,
        source: str,
        uploader: EncodeUploader,
        early: EarlyStream,
        reporter: ProgressReporter,
    ) -> Film:
        uploader.on_stored = partial(reporter.note_stored, plan.duration)
        report = await encode_chunk(
            self._encoder,
            uploader,
            ChunkInput(
                plan=plan,
                chunk=WHOLE,
                folder=folder,
                source=source,
                names=encode.names,
                loudness=encode.loudness,
            ),
            follow=early.follow,
            on_progress=partial(reporter.note_encoder, plan.duration),
        )
        texts = await read_chunk_texts(plan, folder, sandbox_required=self._settings.sandbox_required)
        return whole_film(plan, uploader.measured, texts, report, await loudness_of(folder))


def _log_plan(plan: Plan) -> None:
    rungs = [rung.name for rung in plan.rungs]
    copied = {"copies_picture": plan.copied is not None, "copies_sound": plan.copies_sound}
    _log.info(
        "planned",
        rungs=rungs,
        profile=plan.profile.name,
        fps=str(plan.fps),
        source=plan.video.codec,
        chunks=len(plan.chunks),
        **copied,
    )
