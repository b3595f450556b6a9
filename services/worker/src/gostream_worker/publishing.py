"""The one step that viewers see: a master playlist, and the row that says READY."""

from dataclasses import dataclass
from datetime import timedelta

from gostream_shared.domain.jobs import RemoveJob
from gostream_shared.domain.repository import Database
from gostream_shared.domain.video import Encode, Publication, Video, master_key
from gostream_shared.storage import ObjectStore, StoredObject
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


class Publisher:
    """Makes prepared encodes what viewers see."""

    def __init__(self, database: Database, store: ObjectStore, edge: Edge) -> None:
        self._database = database
        self._store = store
        self._edge = edge

    async def commit(self, encode: Encode, prepared: Prepared) -> Video:
        """The master last, and under the row lock: whoever lost the fence overwrites and removes nothing.

        Raises FenceLostError, BackendUnavailableError, and ProcessingFailedError when another source has
        taken the place of the one that was encoded.
        """
        async with self._database.transaction() as transaction:
            await transaction.videos.lock_for_publish(encode)
            await require_same(self._store, prepared.source)
            if prepared.leftovers:
                await self._store.delete(prepared.leftovers)
            published_before = (await transaction.videos.get(encode.video_id)).published_number
            await self._put_master(encode, prepared.master)
            # Before READY is committed: whoever hears of it finds the new encode at the edge.
            await self._edge.refresh_master(encode.video_id)
            video = await transaction.videos.mark_video_ready(encode, prepared.publication)
            if published_before is not None:
                await transaction.jobs.enqueue(
                    RemoveJob(video_id=encode.video_id, number=published_before),
                    delay=max(_KEEP_OLD, 2 * prepared.publication.duration),
                )
        return video

    async def _put_master(self, encode: Encode, text: str) -> None:
        await self._store.put(
            master_key(encode.video_id),
            text.encode(),
            content_type=PLAYLIST_TYPE,
            cache_control=_MASTER_CACHE,
        )
