"""Makes the downloads of a published encode: remuxes its segments, stores the files, and changes the row."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from uuid import UUID

import structlog

from gostream_shared.cache.ports import ChangeAnnouncer
from gostream_shared.domain.object_keys import encode_prefix
from gostream_shared.domain.repositories import Database
from gostream_shared.domain.video import Video
from gostream_shared.domain.videos.downloads import Download, DownloadCode, DownloadState
from gostream_shared.domain.videos.options import AUDIO, HIGHEST
from gostream_shared.storage.port import ObjectStore, StoredObject
from gostream_worker.downloads.command import remux_arguments
from gostream_worker.downloads.joined import JoinedObjects
from gostream_worker.downloads.names import disposition, object_name
from gostream_worker.downloads.published import PublishedStream, UnreadableStreamError, find_segments
from gostream_worker.encode.encoder import Encoder
from gostream_worker.ingest.object_writer import writing
from gostream_worker.retry import patiently
from gostream_worker.sandbox.allowlist import loopback_port
from gostream_worker.source.loopback_server import serve_contents
from gostream_worker.source.work_directory import WorkDirectory

_log = structlog.stdlib.get_logger("gostream.downloads")

#: Bytes of segments that become one file; the sandbox limits files to 8 GiB.
LARGEST = 7 << 30
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class _Form:
    """What a download consists of, in ffmpeg's letters, and its file."""

    kinds: str
    suffix: str
    content_type: str


_FORMS: Mapping[str, _Form] = MappingProxyType(
    {HIGHEST: _Form("va", "mp4", "video/mp4"), AUDIO: _Form("a", "m4a", "audio/mp4")}
)


class DownloadService:
    """Makes the files of one video at a time. Every step can be repeated."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        announcer: ChangeAnnouncer,
        encoder: Encoder,
        work: WorkDirectory,
        *,
        patience: float = 120.0,
    ) -> None:
        self._database = database
        self._store = store
        self._announcer = announcer
        self._encoder = encoder
        self._work = work
        self._patience = patience

    async def make(self, video: Video, number: int) -> None:
        """Makes what the row lists as PREPARING.

        The files exist before the row names them. If the encode is no longer published by then, they are
        removed; a repeated call removes those of a worker that died in between. Raises
        BackendUnavailableError, WorkerFullError, and ProcessingFailedError for what an attempt may fix.
        """
        listed = video.publication.downloads if video.publication else ()
        if video.published_number != number:
            await self.remove(video.id, number)
        elif any(map(_is_waiting, listed)):
            found = await self._find(video, number)
            async with self._work.attempt() as folder:
                made = [
                    await self._one(video, number, each, found, folder) if _is_waiting(each) else each
                    for each in listed
                ]
            await self._commit(video, number, made)

    async def fail(self, video: Video, number: int) -> None:
        """Lists what is not made as FAILED."""
        listed = video.publication.downloads if video.publication else ()
        await self._commit(video, number, [_failed(d) if _is_waiting(d) else d for d in listed])

    async def remove(self, video_id: UUID, number: int) -> None:
        """Removes the files of an encode that is not published."""
        prefix = encode_prefix(video_id, number)
        keys = [prefix + object_name(name, form.suffix) for name, form in _FORMS.items()]
        await patiently(lambda: self._store.delete(keys), patience=self._patience)

    async def _find(self, video: Video, number: int) -> PublishedStream:
        try:
            return await patiently(
                lambda: find_segments(self._store, video.id, number), patience=self._patience
            )
        except UnreadableStreamError as error:
            _log.warning("published stream unreadable", video_id=str(video.id), error=str(error))
            return PublishedStream(picture=(), sound=(), seconds=0.0)

    async def _one(
        self, video: Video, number: int, download: Download, found: PublishedStream, folder: Path
    ) -> Download:
        form = _FORMS[download.name]
        tracks = {"v": found.picture, "a": found.sound}
        parts = {kind: tracks[kind] for kind in form.kinds if tracks[kind]}
        if "v" not in parts and download.name == HIGHEST and parts:
            form = replace(form, suffix="m4a", content_type="audio/mp4")  # a video of sound alone
        if not parts:
            return _failed(download, DownloadCode.NO_SOUND if found.picture else DownloadCode.UNREADABLE)
        if sum(part.size for objects in parts.values() for part in objects) > LARGEST:
            return _failed(download, DownloadCode.TOO_LARGE)
        file = folder / object_name(download.name, form.suffix)
        await self._remux(parts, found.seconds, file)
        path = f"v{number}/{file.name}"
        stored = await self._store_file(
            file, encode_prefix(video.id, number) + file.name, form.content_type, video.title
        )
        await asyncio.to_thread(file.unlink)
        return Download(
            name=download.name,
            state=DownloadState.READY,
            path=path,
            size_bytes=stored.size,
            content_type=form.content_type,
        )

    async def _remux(self, parts: Mapping[str, Sequence[StoredObject]], seconds: float, file: Path) -> None:
        contents = [
            JoinedObjects(self._store, objects, patience=self._patience) for objects in parts.values()
        ]
        async with serve_contents(contents) as urls:
            try:
                await self._encoder.run(
                    remux_arguments(sources=urls, kinds=list(parts), output=file.name),
                    folder=file.parent,
                    duration=seconds,
                    on_progress=lambda _: None,
                    port=loopback_port(urls[0]),
                )
            finally:
                for content in contents:
                    content.require_read()

    async def _store_file(self, file: Path, key: str, content_type: str, title: str) -> StoredObject:
        # An object that exists is of a worker that died before it changed the row.
        await patiently(lambda: self._store.delete([key]), patience=self._patience)
        named = disposition(title, file.suffix.removeprefix("."))
        async with writing(
            self._store, key, patience=self._patience, content_type=content_type, disposition=named
        ) as writer:
            writer.expect((await asyncio.to_thread(file.stat)).st_size)
            async for piece in _pieces(file):
                await writer.write(piece)
            return await writer.finish()

    async def _commit(self, video: Video, number: int, made: Sequence[Download]) -> None:
        before = video.publication.downloads if video.publication else ()
        new = sum(d.size_bytes for d in made) - sum(d.size_bytes for d in before)
        async with self._database.transaction() as transaction:
            changed = await transaction.downloads.finish(video.id, number, made, stored_bytes=new)
        if changed is None:
            await self.remove(video.id, number)
            return
        await self._announcer.announce(changed.id, changed.version)
        states = {download.name: str(download.error_code or download.state) for download in made}
        _log.info("downloads made", video_id=str(video.id), encode=number, states=states)


def _is_waiting(download: Download) -> bool:
    return download.state is DownloadState.PREPARING


def _failed(download: Download, code: DownloadCode = DownloadCode.UNREADABLE) -> Download:
    return replace(download, state=DownloadState.FAILED, error_code=code.value)


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(file.open, "rb") as opened:
        while piece := await asyncio.to_thread(opened.read, _PIECE):
            yield piece
