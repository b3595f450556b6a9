"""Early playback of a film in chunks: the lists have the chunks up to the first one that is not done."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from gostream_shared.cache.ports import ChangeAnnouncer
from gostream_shared.concurrency import wait_at_most
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.errors import BackendUnavailableError, FenceLostError
from gostream_shared.domain.object_keys import EARLY_MASTER
from gostream_shared.domain.repositories import Database
from gostream_shared.storage.port import ObjectStore
from gostream_worker.chunks.reporting import ChunkReporter
from gostream_worker.chunks.stored import Listed, listed_from, listed_json
from gostream_worker.plan.chunks import Chunk, ChunkKind
from gostream_worker.plan.plan import Plan
from gostream_worker.publish.early_playback import (
    EarlyLists,
    early_list,
    first_codecs,
    mark_playable,
    put_lists,
    without_gaps,
)
from gostream_worker.publish.measure import MeasuredSegments
from gostream_worker.publish.playlists import Segment
from gostream_worker.publish.uploader import EncodeUploader

_log = structlog.stdlib.get_logger("gostream.transcode")
#: Segments of a chunk that are listed before it is done.
_FIRST = 10
#: Seconds between two reports of a chunk's first segments.
_PAUSE = 0.5


class EarlyFilm:
    """Grows the lists of a film, by whichever worker has stored more of it.

    The rows are read and the lists are written under the lock of the video's row, so lists only grow.
    """

    def __init__(
        self,
        plan: Plan,
        encode: Encode,
        uploader: EncodeUploader,
        database: Database,
        store: ObjectStore,
        announcer: ChangeAnnouncer,
    ) -> None:
        self._plan = plan
        self._encode = encode
        self._uploader = uploader
        self._database = database
        self._store = store
        self._announcer = announcer
        self._early = EarlyLists(plan)

    async def grow(self) -> None:
        """Lists what is stored. Best effort: the next chunk grows the lists, or the end of the film."""
        try:
            await self._grow()
        except (FenceLostError, BackendUnavailableError) as error:
            _log.info("lists not grown", error=str(error) or type(error).__name__)

    async def end(self, measured: MeasuredSegments) -> None:
        """Lists all segments and ends the lists, if there are any."""
        first = early_list(self._plan.renditions[0])
        if not await self._uploader.text(first):
            return
        async with self._database.transaction() as transaction:
            await transaction.encodes.lock_for_publish(self._encode)
            await put_lists(self._uploader, self._early.lists(without_gaps(measured), ended=True))

    async def _grow(self) -> None:
        chunks, encode = self._database.chunks, self._encode
        stored = join_listed(self._plan, await chunks.listed(encode.video_id, encode.number))
        if stored is None or not await chunks.may_list(encode, pause=self._early.target / 2):
            return
        is_first = (await self._database.videos.get(encode.video_id)).playable_number != encode.number
        async with self._database.transaction() as transaction:
            await transaction.encodes.lock_for_publish(encode)
            rows = await transaction.chunks.listed(encode.video_id, encode.number)
            stored = join_listed(self._plan, rows) or stored
            texts = self._early.lists(stored.segments, ended=False)
            if is_first:
                texts[EARLY_MASTER] = self._early.master(stored.segments, stored.codecs)
            await put_lists(self._uploader, texts)
        if is_first:
            video = await mark_playable(self._database, self._store, encode)
            await self._announcer.announce(video.id, video.version)
            _log.info("playable")


class FirstSegments:
    """Reports the first segments of a chunk while it is encoded. Viewers wait for those of the film.

    Not in a later try: an earlier one may have listed more.
    """

    def __init__(
        self,
        plan: Plan,
        chunk: Chunk,
        early: EarlyFilm,
        uploader: EncodeUploader,
        reporter: ChunkReporter,
        *,
        is_first_try: bool,
    ) -> None:
        self._plan = plan
        self._chunk = chunk
        self._early = early
        self._uploader = uploader
        self._reporter = reporter
        self._is_awaited = is_first_try and chunk.start_frame == 0

    async def follow(self, encoded: asyncio.Event) -> None:
        """Reports until `encoded` is set, or enough segments are listed."""
        count = 0
        while self._is_awaited and count < _FIRST and not encoded.is_set():
            await self._uploader.news.wait()
            self._uploader.news.clear()
            listed = self.listed()
            found = min(map(len, listed.segments.values()), default=0)
            if encoded.is_set() or found <= count:
                continue
            count = found
            first = {name: parts[:_FIRST] for name, parts in listed.segments.items()}
            await self._report(listed_json(Listed(segments=first, codecs=listed.codecs)))
            await wait_at_most(encoded, _PAUSE)

    async def _report(self, listed: str) -> None:
        try:
            await self._reporter.report(listed)
        except BackendUnavailableError as error:
            _log.warning("first segments not reported", error=str(error))
        else:
            await self._early.grow()

    def listed(self) -> Listed:
        """Returns what is stored of the chunk, without gaps."""
        is_picture = self._chunk.kind is ChunkKind.PICTURE
        first = self._chunk.start_frame // self._plan.segment_frames if is_picture else 0
        stored = without_gaps(self._uploader.measured, first=first)
        return Listed(
            segments={name: tuple(parts) for name, parts in stored.items()},
            codecs=first_codecs(self._uploader.measured),
        )


def join_listed(plan: Plan, rows: Sequence[tuple[str, bool, str | None]]) -> Listed | None:
    """Returns the segments of the chunks up to the first one of its kind that is not done.

    None until every rendition has started.
    """
    segments: dict[str, list[Segment]] = {name: [] for name in plan.renditions}
    codecs: dict[str, str] = {}
    is_over: dict[str, bool] = {}
    for kind, is_done, text in rows:
        if text is not None and not is_over.get(kind):
            listed = listed_from(text)
            for name, parts in listed.segments.items():
                segments[name] += parts
            codecs = _with(listed.codecs, codecs)
        is_over[kind] = is_over.get(kind, False) or not is_done
    if not all(segments.values()):
        return None
    return Listed(segments={name: tuple(parts) for name, parts in segments.items()}, codecs=codecs)


def _with(found: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    return {**found, **known}
