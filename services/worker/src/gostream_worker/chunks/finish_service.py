"""Publishes a film whose chunks are done. Every step can be repeated."""

from functools import partial

from gostream_shared.domain.encode import Encode
from gostream_shared.domain.errors import FenceLostError
from gostream_shared.domain.object_keys import encode_prefix
from gostream_shared.domain.video import Video
from gostream_worker.chunks.dependencies import Dependencies, Settings
from gostream_worker.chunks.early import EarlyFilm
from gostream_worker.chunks.faults import expected_errors
from gostream_worker.chunks.film import joined_film, write_thumbnails
from gostream_worker.chunks.finishing import prepare_film, publish_film
from gostream_worker.chunks.stored import planned_from
from gostream_worker.encode.encoder import Encoder
from gostream_worker.preview.making import PreviewRun, write_preview
from gostream_worker.progress import ProgressReporter
from gostream_worker.publish.publisher import Prepared
from gostream_worker.publish.uploader import EncodeUploader
from gostream_worker.source.work_directory import WorkDirectory


class FinishService:
    """Reads the results of the chunks from the database, and publishes the film. Reads few segments."""

    def __init__(
        self, dependencies: Dependencies, encoder: Encoder, work: WorkDirectory, settings: Settings
    ) -> None:
        self._dependencies = dependencies
        self._encoder = encoder
        self._work = work
        self._settings = settings

    async def run(self, encode: Encode) -> Video:
        """Publishes. Returns the READY video.

        Raises ProcessingFailedError, FenceLostError, and for transient conditions BackendUnavailableError and
        WorkerFullError. Publishes nothing unless it succeeds, and leaves nothing on the disk.
        """
        backends = self._dependencies
        reporter = ProgressReporter(encode, backends.database.encodes, backends.publisher)
        reporter.enter("publishing")
        with expected_errors("publishing"):
            async with reporter.reporting():
                prepared = await self._prepare(encode)
            return await publish_film(backends, self._settings, encode, prepared)

    async def _prepare(self, encode: Encode) -> Prepared:
        backends = self._dependencies
        text = await backends.database.chunks.plan_of(encode.video_id, encode.number)
        if text is None:
            raise FenceLostError(encode.video_id, encode.number, encode.attempt)
        planned = planned_from(text)
        done = await backends.database.chunks.done(encode.video_id, encode.number)
        film = joined_film(planned.plan, done)
        uploader = EncodeUploader(
            backends.store,
            encode_prefix(encode.video_id, encode.number),
            patience=self._settings.step_patience,
        )
        uploader.adopt(film.sizes)
        early = EarlyFilm(
            planned.plan, encode, uploader, backends.database, backends.store, backends.announcer
        )
        async with self._work.attempt() as folder:
            await write_thumbnails(self._encoder, planned.plan, done, folder)
            if self._settings.previews:
                preview = PreviewRun(
                    self._encoder, backends.store, encode, folder, self._settings.step_patience
                )
                await write_preview(preview, planned.plan, film.measured)
            return await prepare_film(
                backends,
                self._settings,
                encode,
                planned,
                film,
                folder,
                uploader,
                partial(early.end, film.measured),
            )
