"""The one step that viewers see: a master playlist, and the row that says READY."""

from dataclasses import dataclass
from datetime import timedelta

from gostream_shared.domain.encode import Encode
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.jobs import JobQueue, RemoveJob
from gostream_shared.domain.object_keys import master_key
from gostream_shared.domain.repositories import Database
from gostream_shared.domain.video import Publication, Video
from gostream_shared.storage.port import ObjectNotFoundError, ObjectReplacedError, ObjectStore, StoredObject
from gostream_worker.publish.cdn import Edge
from gostream_worker.publish.uploader import PLAYLIST_TYPE
from gostream_worker.source.open_source import require_same

#: What nobody refers to any more is kept this long, for those who still play it.
_KEEP_OLD = timedelta(hours=24)
_MASTER_CACHE = "public, max-age=60"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An encode that only needs to be published: `source` is what it was made of."""

    source: StoredObject
    master: str
    publication: Publication


@dataclass(frozen=True, slots=True)
class _Master:
    """A master playlist as it stands in the store."""

    etag: str
    text: bytes


class Publishing:
    """Makes one attempt's encode what viewers see."""

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

    async def commit(self) -> Video:
        """The master last, and under the row lock: whoever lost the fence overwrites and removes nothing.

        Raises FenceLostError, BackendUnavailableError, and ProcessingFailedError when another source has
        taken the place of the one that was encoded.
        """
        # Seen before the lock is taken: what others have published since then is not overwritten, even by a
        # process that stood still between the lock's answer and its request to the store.
        stands = await self._standing()
        async with self._database.transaction() as transaction:
            await transaction.encodes.lock_for_publish(self._encode)
            await require_same(self._store, self._prepared.source)
            published_before = (await transaction.videos.get(self._encode.video_id)).published_number
            await self._put(self._text, over=stands)
            # Before READY is committed: whoever hears of it finds the new encode at the edge.
            await self._edge.refresh_master(self._encode.video_id)
            video = await transaction.encodes.mark_video_ready(self._encode, self._prepared.publication)
            await self._have_old_ones_removed(transaction.jobs, published_before)
        return video

    async def _have_old_ones_removed(self, jobs: JobQueue, published_before: int | None) -> None:
        """Once this encode is published: until then the master may name what an attempt before has left."""
        encode = self._encode
        viewing = max(_KEEP_OLD, 2 * self._prepared.publication.duration)
        if published_before is not None:
            old = RemoveJob(video_id=encode.video_id, number=published_before)
            await jobs.enqueue(old, delay=viewing)
        if encode.attempt > 1:
            leftovers = RemoveJob(
                video_id=encode.video_id, number=encode.number, published_attempt=encode.attempt
            )
            await jobs.enqueue(leftovers, delay=viewing)

    async def take_back(self) -> None:
        """Of an encode that is not published after all: its master, written too late, gives way to the last.

        Where there was none before it stays: the next attempt will write over it. Raises
        BackendUnavailableError.
        """
        stands = await self._standing()
        if self._before is None or stands is None or stands.text != self._text:
            return
        await self._put(self._before.text, over=stands)
        await self._edge.refresh_master(self._encode.video_id)

    async def _standing(self) -> _Master | None:
        """What stands there now. The last one that is another's is remembered."""
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
                cache_control=_MASTER_CACHE,
            )
        except ObjectReplacedError:
            # By an attempt that may, or by one that may not any more: the row's lock tells the next try.
            raise BackendUnavailableError("object store") from None
