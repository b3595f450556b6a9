"""Runs one try of one chunk. Every step can be repeated."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import structlog

from gostream_shared.domain.companions.chunks import ChunkResult, ChunkTry
from gostream_shared.domain.jobs import FinishJob
from gostream_shared.domain.object_keys import encode_prefix
from gostream_worker.chunks.dependencies import Dependencies, Settings
from gostream_worker.chunks.early import EarlyFilm, FirstSegments
from gostream_worker.chunks.encoding import ChunkInput, SegmentClosing, encode_chunk, read_chunk_texts
from gostream_worker.chunks.faults import expected_errors
from gostream_worker.chunks.film import thumbnail_files
from gostream_worker.chunks.reporting import ChunkReporter
from gostream_worker.chunks.stored import (
    HEARD,
    ChunkOutput,
    Heard,
    Planned,
    StoredSegment,
    heard_bytes,
    listed_json,
    output_json,
    planned_from,
)
from gostream_worker.encode.encoder import Encoder, EncodeReport
from gostream_worker.encode.levels import loudness_of
from gostream_worker.plan.chunks import Chunk
from gostream_worker.publish.uploader import EncodeUploader
from gostream_worker.retry import patiently
from gostream_worker.source.open_source import open_source
from gostream_worker.source.work_directory import WorkDirectory

_log = structlog.stdlib.get_logger("gostream.chunks")


class ChunkService:
    """Encodes chunks and stores their results."""

    def __init__(
        self, dependencies: Dependencies, encoder: Encoder, work: WorkDirectory, settings: Settings
    ) -> None:
        self._dependencies = dependencies
        self._encoder = encoder
        self._work = work
        self._settings = settings

    async def run(self, running: ChunkTry) -> None:
        """Encodes the chunk and marks it as done. The last chunk of a film enqueues its publication.

        Raises ProcessingFailedError, FenceLostError, and for transient conditions BackendUnavailableError and
        WorkerFullError. Leaves nothing on the disk.
        """
        with expected_errors("encoding"):
            planned = planned_from(running.plan)
            if planned.encoder != self._settings.encoder_version:
                # The stream is valid, but its bytes may depend on the worker.
                _log.warning("another ffmpeg made the plan", planned_by=planned.encoder)
            chunk = planned.plan.chunks[running.chunk]
            uploader = EncodeUploader(
                self._dependencies.store,
                encode_prefix(running.encode.video_id, running.encode.number),
                patience=self._settings.step_patience,
                closing=SegmentClosing(planned.plan, chunk),
            )
            early = self._early(running, planned, uploader)
            async with self._work.attempt() as folder:
                result = await self._encode(running, planned, chunk, folder, uploader, early)
            await patiently(lambda: self._end(running, result), patience=self._settings.step_patience)
            await early.grow()

    def _early(self, running: ChunkTry, planned: Planned, uploader: EncodeUploader) -> EarlyFilm:
        backends = self._dependencies
        return EarlyFilm(
            planned.plan, running.encode, uploader, backends.database, backends.store, backends.announcer
        )

    async def _encode(
        self,
        running: ChunkTry,
        planned: Planned,
        chunk: Chunk,
        folder: Path,
        uploader: EncodeUploader,
        early: EarlyFilm,
    ) -> ChunkResult:
        reporter = ChunkReporter(running, self._dependencies.database.chunks, self._dependencies.publisher)
        first = FirstSegments(planned.plan, chunk, early, uploader, reporter, is_first_try=running.tries == 1)
        async with (
            reporter.reporting(),
            open_source(
                self._dependencies.store,
                planned.source.key,
                folder,
                self._settings.limits,
                max_copied=0,  # every worker would copy it
                pinned=planned.source,
            ) as source,
        ):
            run = ChunkInput(
                plan=planned.plan,
                chunk=chunk,
                folder=folder,
                source=source.url,
                names=running.tries,
                loudness=running.encode.loudness,
            )
            report = await encode_chunk(
                self._encoder, uploader, run, follow=first.follow, on_progress=reporter.note_encoder
            )
        return ChunkResult(
            segments=output_json(_output(uploader, report)),
            listed=listed_json(first.listed()),
            files=await self._files(planned, chunk, folder),
        )

    async def _files(self, planned: Planned, chunk: Chunk, folder: Path) -> Mapping[str, bytes]:
        if not chunk.has_sound:
            return await asyncio.to_thread(thumbnail_files, folder)
        texts = await read_chunk_texts(planned.plan, folder, sandbox_required=self._settings.sandbox_required)
        return {HEARD: heard_bytes(Heard(texts=tuple(texts), loudness=await loudness_of(folder)))}

    async def _end(self, running: ChunkTry, result: ChunkResult) -> None:
        encode = running.encode
        async with self._dependencies.database.transaction() as transaction:
            if await transaction.chunks.end(running, result) == 0:
                job = FinishJob(video_id=encode.video_id, number=encode.number)
                await transaction.jobs.enqueue(job)


def _output(uploader: EncodeUploader, report: EncodeReport) -> ChunkOutput:
    segments = [
        StoredSegment(
            name=f"{rendition}/{name}",
            size=found.whole.size,
            sha256=uploader.digests[f"{rendition}/{name}"],
            measure=found,
        )
        for rendition, parts in uploader.measured.items()
        for name, found in parts.items()
    ]
    return ChunkOutput(segments=tuple(segments), damaged=report.damaged, new_sound=report.new_sound)
