"""From the stored segments of a film to its publication."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from gostream_shared.concurrency import task_group
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.video import Video
from gostream_worker.captions.carrying import carry_along
from gostream_worker.chunks.dependencies import Dependencies, Settings
from gostream_worker.chunks.film import Film
from gostream_worker.chunks.stored import Planned
from gostream_worker.publish.conformance import require_conformance, require_equal_lengths
from gostream_worker.publish.presentation import Presentation, present
from gostream_worker.publish.publication import describe_publication
from gostream_worker.publish.publisher import Prepared, Publishing
from gostream_worker.publish.thumbnails import put_thumbnails, read_thumbnails
from gostream_worker.publish.uploader import PLAYLIST_TYPE, EncodeUploader


async def prepare_film(
    dependencies: Dependencies,
    settings: Settings,
    encode: Encode,
    planned: Planned,
    film: Film,
    folder: Path,
    uploader: EncodeUploader,
    end_early: Callable[[], Awaitable[None]],
) -> Prepared:
    """Does everything except the publication. All objects are stored, and nothing refers to them yet.

    Poster and sheet are in `folder`, if there are any. Raises ProcessingFailedError, FenceLostError and
    BackendUnavailableError.
    """
    plan = planned.plan
    added = await carry_along(dependencies, settings, encode, plan.tracks, folder)
    presentation = await asyncio.to_thread(
        present, plan, film.measured, encode, {**film.texts, **added.texts}
    )
    require_equal_lengths(plan, presentation, has_new_sound=film.new_sound)
    thumbnails = await read_thumbnails(folder, presentation.cues)
    await require_conformance(presentation, film.measured, thumbnails, number=encode.number)
    async with task_group() as puts:
        puts.create_task(_put_playlists(presentation, uploader))
        puts.create_task(uploader.put_texts(presentation.texts))
        puts.create_task(put_thumbnails(thumbnails, uploader))
        puts.create_task(_awaited(end_early))
    await uploader.verify()
    publication = describe_publication(planned.probe, plan, presentation, thumbnails, encode, film.loudness)
    return Prepared(
        source=planned.source,
        master=presentation.master,
        publication=added.in_publication(publication, encode, presentation.unread),
        stored_bytes=sum(uploader.uploaded.values()),
        has_leftovers=film.has_leftovers,
    )


async def _awaited(end_early: Callable[[], Awaitable[None]]) -> None:
    await end_early()


async def _put_playlists(presentation: Presentation, uploader: EncodeUploader) -> None:
    """Uploads the playlists. Called after the segments that they name are stored."""
    for name, text in presentation.playlists.items():
        await uploader.put(name, text.encode(), content_type=PLAYLIST_TYPE)


async def publish_film(
    dependencies: Dependencies, settings: Settings, encode: Encode, prepared: Prepared
) -> Video:
    """Publishes in one step. Returns the READY video. Raises the errors of `Publishing.commit`."""
    publishing = Publishing(dependencies.database, dependencies.store, dependencies.edge, encode, prepared)
    video = await publishing.publish(patience=settings.step_patience)
    await dependencies.announcer.announce(video.id, video.version)
    return video
