"""Publishes an encode in one step: the master playlist, the gate, and the READY status in the row."""

from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from gostream_shared.domain.encode import Encode
from gostream_shared.domain.errors import BackendUnavailableError, FenceLostError, VideoNotFoundError
from gostream_shared.domain.jobs import DownloadJob, JobQueue, PublishTracksJob, RemoveJob
from gostream_shared.domain.object_keys import master_key
from gostream_shared.domain.repositories import Database, Transaction
from gostream_shared.domain.video import Publication, Video
from gostream_shared.domain.videos.downloads import Download
from gostream_shared.observability.tracing import spans
from gostream_shared.storage.gates import Gates, open_gate
from gostream_shared.storage.port import ObjectNotFoundError, ObjectReplacedError, ObjectStore, StoredObject
from gostream_worker.failures import ProcessingFailedError
from gostream_worker.publish.cdn import Edge
from gostream_worker.publish.uploader import PLAYLIST_TYPE
from gostream_worker.retry import patiently
from gostream_worker.source.open_source import require_same

_log = structlog.stdlib.get_logger("gostream.transcode")

#: Unreferenced objects are kept this long for viewers who still play them.
_KEEP_OLD = timedelta(hours=24)
#: The Cache-Control of the master playlist.
MASTER_CACHE = "public, max-age=60"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An encode that is ready to publish. `source` is the object that it was made from.

    `stored_bytes` is the size of its objects in the store, without the master playlist. `has_leftovers`: lost
    attempts or chunks may have stored others.
    """

    source: StoredObject
    master: str
    publication: Publication
    stored_bytes: int
    has_leftovers: bool = False


@dataclass(frozen=True, slots=True)
class _Master:
    """A master playlist in the store."""

    etag: str
    text: bytes


class Publishing:
    """Publishes the encode of one attempt."""

    def __init__(
        self, database: Database, store: ObjectStore, edge: Edge, encode: Encode, prepared: Prepared
    ) -> None:
        self._database = database
        self._store = store
        self._edge = edge
        self._encode = encode
        self._prepared = prepared
        self._key = master_key(encode.video_id)
        self._text = prepared.master.encode()
        self._before: _Master | None = None

    async def publish(self, *, patience: float) -> Video:
        """Commits, and withdraws the publication if another attempt has the fence. Returns the READY video.

        `patience`: seconds that a step waits for a backend. Raises the errors of `commit`.
        """
        try:
            with spans.span("publish"):
                return await patiently(self.commit, patience=patience)
        except (FenceLostError, ProcessingFailedError):
            await self._withdraw(patience=patience)
            # The attempt may have written the gate after the row changed.
            await Gates(self._database.gates, self._store).sync_promptly(self._encode.video_id)
            raise

    async def _withdraw(self, *, patience: float) -> None:
        """Restores the previous master playlist if this one was not committed. Best effort.

        The attempt may have committed although it received no answer, so a published encode stays.
        """
        try:
            video = await self._database.videos.get_restorable(self._encode.video_id)
            if video.published_number != self._encode.number:
                await patiently(self.take_back, patience=patience)
        except VideoNotFoundError:
            return
        except BackendUnavailableError as error:
            _log.warning("publication not withdrawn", error=str(error))

    async def commit(self) -> Video:
        """Writes the master playlist last and under the row lock: without the fence nothing changes.

        Raises FenceLostError, BackendUnavailableError, and ProcessingFailedError if another object replaced
        the encoded source.
        """
        # Read before the lock is taken, so that a later publication is not overwritten, even by a process
        # that stalled between taking the lock and its request to the store.
        stands = await self._standing()
        async with self._database.transaction() as transaction:
            await transaction.encodes.lock_for_publish(self._encode)
            await require_same(self._store, self._prepared.source)
            published_before = (await transaction.videos.get(self._encode.video_id)).published_number
            await self._put(self._text, over=stands)
            # Before READY is committed, so that clients that see READY find the new encode at the edge.
            await self._edge.refresh_master(self._encode.video_id)
            wanted = tuple(Download(name=name) for name in self._encode.options.downloads)
            publication = replace(self._prepared.publication, downloads=wanted)
            video = await transaction.encodes.mark_video_ready(self._encode, publication)
            if wanted:
                job = DownloadJob(video_id=video.id, number=self._encode.number)
                await transaction.jobs.enqueue(job)
            await open_gate(self._store, video)
            size = self._prepared.stored_bytes + len(self._text)
            await transaction.usages.note_stored(video.id, self._encode.number, size)
            await self._have_old_ones_removed(transaction.jobs, published_before)
            await self._have_added_tracks_follow(transaction)
        return video

    async def _have_old_ones_removed(self, jobs: JobQueue, published_before: int | None) -> None:
        """Enqueues the removal of old objects.

        Only once this encode is published: until then the master playlist may name objects of an earlier
        attempt.
        """
        encode = self._encode
        viewing = max(_KEEP_OLD, 2 * self._prepared.publication.duration)
        if published_before is not None:
            old = RemoveJob(video_id=encode.video_id, number=published_before)
            await jobs.enqueue(old, delay=viewing)
        if encode.attempt > 1 or self._prepared.has_leftovers:
            leftovers = RemoveJob(
                video_id=encode.video_id, number=encode.number, published_attempt=encode.attempt
            )
            await jobs.enqueue(leftovers, delay=viewing)

    async def _have_added_tracks_follow(self, transaction: Transaction) -> None:
        """Tracks may have been added, changed or deleted since this encode has read them."""
        if await transaction.added_tracks.of_video(self._encode.video_id):
            change = f"encode-{self._encode.number}-{self._encode.attempt}"
            job = PublishTracksJob(video_id=self._encode.video_id, change=change)
            await transaction.jobs.enqueue(job)

    async def take_back(self) -> None:
        """Restores the previous master playlist after a commit that failed.

        Without a previous one the new one stays, and the next attempt overwrites it. Raises
        BackendUnavailableError.
        """
        stands = await self._standing()
        if self._before is None or stands is None or stands.text != self._text:
            return
        await self._put(self._before.text, over=stands)
        await self._edge.refresh_master(self._encode.video_id)

    async def _standing(self) -> _Master | None:
        """Returns the current master playlist. Remembers the last one that is not this attempt's."""
        try:
            found = await self._store.head(self._key)
            text = await self._store.read_range(self._key, start=0, size=found.size, etag=found.etag)
        except ObjectNotFoundError:
            return None
        master = _Master(found.etag, text)
        if text != self._text:
            self._before = master
        return master

    async def _put(self, text: bytes, *, over: _Master | None) -> None:
        try:
            await self._store.replace(
                self._key,
                text,
                etag=over.etag if over else None,
                content_type=PLAYLIST_TYPE,
                cache_control=MASTER_CACHE,
            )
        except ObjectReplacedError:
            # Another attempt wrote first. Retry: the row lock decides who may publish.
            raise BackendUnavailableError("object store") from None
