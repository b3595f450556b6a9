"""The pipeline from an uploaded object to a published stream. Every step can be repeated."""

import asyncio
import errno
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID

import structlog

from gostream_shared.cache.ports import ChangeAnnouncer, ProgressPublisher
from gostream_shared.concurrency import task_group
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.errors import GoStreamError
from gostream_shared.domain.object_keys import encode_prefix, source_key
from gostream_shared.domain.repositories import Database
from gostream_shared.domain.video import Video
from gostream_shared.storage.port import ObjectStore
from gostream_worker.encode.encoder import Encoder, EncodeReport
from gostream_worker.encode.run_plan import run_plan
from gostream_worker.failures import Code, ProcessingFailedError, WorkerFullError
from gostream_worker.metrics import ENCODER_SPEED
from gostream_worker.object_names import text_copy
from gostream_worker.plan.clip import with_options
from gostream_worker.plan.ladder import plan_attempt
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.profiles import Profile
from gostream_worker.plan.texts import Text
from gostream_worker.probe.limits import SourceLimits, admit
from gostream_worker.probe.probe import StartedProbe, StartProbe, starting_probe
from gostream_worker.progress import ProgressReporter
from gostream_worker.publish.cdn import Edge
from gostream_worker.publish.conformance import require_conformance, require_equal_lengths
from gostream_worker.publish.early_playback import EarlyStream, mark_playable
from gostream_worker.publish.measure import MeasuredSegments
from gostream_worker.publish.presentation import Presentation, present
from gostream_worker.publish.publication import describe_publication
from gostream_worker.publish.publisher import Prepared, Publishing
from gostream_worker.publish.subtitles import shown_in
from gostream_worker.publish.thumbnails import Thumbnails, put_thumbnails, read_thumbnails
from gostream_worker.publish.uploader import PLAYLIST_TYPE, EncodeUploader
from gostream_worker.retry import patiently
from gostream_worker.source.open_source import open_source
from gostream_worker.source.work_directory import WorkDirectory
from gostream_worker.text.reader import Read, TextFile, read_texts

_log = structlog.stdlib.get_logger("gostream.transcode")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """The backends that the pipeline uses."""

    database: Database
    store: ObjectStore
    announcer: ChangeAnnouncer
    publisher: ProgressPublisher
    edge: Edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Encoding settings of a deployment. `step_patience`: seconds that a step waits for a backend.

    Sources above `max_copied_bytes` are read from the store instead of copied to the work directory.
    """

    profiles: Mapping[str, Profile]
    limits: SourceLimits
    max_copied_bytes: int
    step_patience: float = 120.0
    sandbox_required: bool = False


class TranscodeService:
    """Runs one attempt of one encode."""

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

    async def run(self, encode: Encode) -> Video:
        """Encodes and publishes. Returns the READY video.

        Raises ProcessingFailedError, FenceLostError, and for transient conditions BackendUnavailableError and
        WorkerFullError. Publishes nothing unless it succeeds, and leaves nothing on the disk.
        """
        before = await self._dependencies.database.encodes.progress(encode.video_id, encode.number)
        reporter = ProgressReporter(
            encode,
            self._dependencies.database.encodes,
            self._dependencies.publisher,
            floor=before.percent if before else 0.0,
        )
        uploader = EncodeUploader(
            self._dependencies.store,
            encode_prefix(encode.video_id, encode.number),
            patience=self._settings.step_patience,
        )
        try:
            async with self._start_probe() as probe:  # before the source is fetched: the start takes time
                async with self._work.attempt() as folder, reporter.reporting():
                    prepared = await self._prepare(encode, folder, probe, uploader, reporter)
                # From here on the row lock is the fence. The reporter has stopped, since READY encodes take
                # no reports.
                return await self._publish(encode, prepared)
        except ProcessingFailedError as error:
            error.stage = reporter.stage
            raise
        except GoStreamError:
            raise
        except Exception as error:
            raise _unforeseen(error, reporter.stage) from error

    async def _publish(self, encode: Encode, prepared: Prepared) -> Video:
        publishing = Publishing(
            self._dependencies.database, self._dependencies.store, self._dependencies.edge, encode, prepared
        )
        video = await publishing.publish(patience=self._settings.step_patience)
        await self._dependencies.announcer.announce(video.id, video.version)
        return video

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
    ) -> Prepared:
        """Does everything except the publication. All objects are stored, and nothing refers to them yet."""
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
            plan = with_options(plan_attempt(found, profile, tries=encode.tries), encode.options)
            _log_plan(plan)
            reporter.enter("encoding")
            early = EarlyStream(
                plan,
                uploader,
                partial(self._announce_playable, encode),
                partial(self._holding_fence, encode),
                follows=encode.attempt > 1,
            )
            run = _EncoderInput(encode, plan, folder, source.url)
            measured, report = await self._encode(run, uploader, early, reporter)
        reporter.enter("publishing")
        texts = await self._read_texts(plan, folder)
        presentation = await asyncio.to_thread(present, plan, measured, encode, texts)
        require_equal_lengths(plan, presentation, has_new_sound=report.new_sound)
        thumbnails = await self._put_the_rest(run, measured, presentation, uploader, early)
        return Prepared(
            source=source.version,
            master=presentation.master,
            publication=describe_publication(found, plan, presentation, thumbnails, encode),
            stored_bytes=sum(uploader.uploaded.values()),
        )

    async def _source_key(self, video_id: UUID) -> str:
        remote = await self._dependencies.database.remote_sources.get(video_id)
        return (remote.key if remote else "") or source_key(video_id)

    async def _put_the_rest(
        self,
        run: "_EncoderInput",
        measured: MeasuredSegments,
        presentation: Presentation,
        uploader: EncodeUploader,
        early: EarlyStream,
    ) -> Thumbnails:
        """Uploads everything except the segments. Checks it before, and verifies the store afterwards."""
        encode = run.encode
        thumbnails = await read_thumbnails(run.folder, presentation.cues)
        await require_conformance(presentation, measured, thumbnails, number=encode.number)
        async with task_group() as puts:
            puts.create_task(self._put_playlists(presentation, uploader))
            puts.create_task(uploader.put_texts(presentation.texts))
            puts.create_task(put_thumbnails(thumbnails, uploader))
            puts.create_task(early.end())
        await uploader.verify()
        return thumbnails

    async def _announce_playable(self, encode: Encode) -> None:
        video = await patiently(
            lambda: mark_playable(self._dependencies.database, self._dependencies.store, encode),
            patience=self._settings.step_patience,
        )
        await self._dependencies.announcer.announce(video.id, video.version)
        _log.info("playable")

    async def _encode(
        self, run: "_EncoderInput", uploader: EncodeUploader, early: EarlyStream, reporter: ProgressReporter
    ) -> tuple[MeasuredSegments, EncodeReport]:
        plan, folder = run.plan, run.folder
        for name in plan.renditions:
            (folder / name).mkdir()
        encoded = asyncio.Event()
        uploader.on_stored = partial(reporter.note_stored, plan.duration)
        async with task_group() as tasks:
            uploading = tasks.create_task(uploader.follow(folder, plan.renditions, encoded))
            tasks.create_task(early.follow(encoded))
            report = await run_plan(
                self._encoder,
                plan,
                source=run.source,
                folder=folder,
                attempt=run.encode.attempt,
                on_progress=partial(reporter.note_encoder, plan.duration),
            )
            encoded.set()
        ENCODER_SPEED.observe(plan.duration / max(report.seconds, 0.001))
        _log.info("encoded", seconds=round(report.seconds, 2), damaged_frames=report.damaged)
        return uploading.result(), report

    async def _read_texts(self, plan: Plan, folder: Path) -> dict[Text, Read]:
        files = [
            TextFile(file=text_copy(text.folder), codec=text.codec, language=text.language or "")
            for text in plan.texts
        ]
        read = await read_texts(files, folder, sandbox_required=self._settings.sandbox_required)
        return {text: shown_in(plan.clip, cues) for text, cues in zip(plan.texts, read, strict=True)}

    async def _put_playlists(self, presentation: Presentation, uploader: EncodeUploader) -> None:
        """Uploads the playlists. Called after the segments that they name are stored."""
        for name, text in presentation.playlists.items():
            await uploader.put(name, text.encode(), content_type=PLAYLIST_TYPE)


@dataclass(frozen=True, slots=True)
class _EncoderInput:
    """The input of one encoder run."""

    encode: Encode
    plan: Plan
    folder: Path
    source: str


def _log_plan(plan: Plan) -> None:
    rungs = [rung.name for rung in plan.rungs]
    copied = {"copies_picture": plan.copied is not None, "copies_sound": plan.copies_sound}
    _log.info(
        "planned",
        rungs=rungs,
        profile=plan.profile.name,
        fps=str(plan.fps),
        source=plan.video.codec,
        **copied,
    )


def _unforeseen(error: Exception, stage: str) -> GoStreamError:
    """Maps unexpected errors: a full disk is transient, any other error is INTERNAL."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WorkerFullError()
    failed = ProcessingFailedError(Code.INTERNAL, f"{type(error).__name__}: {error}")
    failed.stage = stage
    return failed
