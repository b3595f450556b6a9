"""The one step that viewers see: a master playlist, and the row that says READY."""

from dataclasses import dataclass
from datetime import timedelta

from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.jobs import RemoveJob
from gostream_shared.domain.repository import Database
from gostream_shared.domain.video import Encode, Publication, Video, master_key
from gostream_shared.storage import ObjectNotFoundError, ObjectReplacedError, ObjectStore, StoredObject
from gostream_worker.edge import Edge
from gostream_worker.source import require_same
from gostream_worker.uploading import PLAYLIST_TYPE

#: What nobody refers to any more is kept this long, for those who still play it.
_KEEP_OLD = timedelta(hours=24)
_MASTER_CACHE = "public, max-age=60"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An encode that only needs to be published: `source` is what it was made of.

    `leftovers` are keys below its prefix, but not its own.
    """

    source: StoredObject
    master: str
    publication: Publication
    leftovers: list[str]


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
            await transaction.videos.lock_for_publish(self._encode)
            await require_same(self._store, self._prepared.source)
            if self._prepared.leftovers:
                await self._store.delete(self._prepared.leftovers)
            published_before = (await transaction.videos.get(self._encode.video_id)).published_number
            await self._put(self._text, over=stands)
            # Before READY is committed: whoever hears of it finds the new encode at the edge.
            await self._edge.refresh_master(self._encode.video_id)
            video = await transaction.videos.mark_video_ready(self._encode, self._prepared.publication)
            if published_before is not None:
                await transaction.jobs.enqueue(
                    RemoveJob(video_id=self._encode.video_id, number=published_before),
                    delay=max(_KEEP_OLD, 2 * self._prepared.publication.duration),
                )
        return video

    async def take_back(self) -> bool:
        """Of an encode that is not published after all: its master, written too late, gives way to the last.

        Answers whether none of its own stands there then. Raises BackendUnavailableError.
        """
        stands = await self._standing()
        if stands is None or stands.text != self._text:
            return True
        if self._before is None:
            return False  # the next attempt will write over it
        await self._put(self._before.text, over=stands)
        await self._edge.refresh_master(self._encode.video_id)
        return True

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
