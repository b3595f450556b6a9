"""Early playback: a stream that can be played while the rest of it is being encoded."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from time import monotonic
from uuid import UUID

from gostream_shared.concurrency import task_group, wait_at_most
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.object_keys import EARLY_MASTER, encode_prefix
from gostream_shared.domain.repositories import Database
from gostream_shared.domain.video import Video
from gostream_shared.storage.gates import open_gate
from gostream_shared.storage.port import ObjectNotFoundError, ObjectReplacedError, ObjectStore
from gostream_worker.media_units import CLOCK
from gostream_worker.plan.plan import Plan, Rung
from gostream_worker.publish.measure import Measured, MeasuredSegments
from gostream_worker.publish.playlists import (
    END,
    Bandwidth,
    Segment,
    Variant,
    growing_playlist,
    master_playlist,
    measure_bandwidth,
)
from gostream_worker.publish.presentation import audio_rendition
from gostream_worker.publish.uploader import PLAYLIST_TYPE, EncodeUploader
from gostream_worker.retry import patiently

#: Target durations of lead at which the playlists grow only as fast as players reload: the next segment may
#: be listed one target duration late, and be found another one later.
_AHEAD = 2
#: Seconds that the fence may be held. A cancellation by the API waits for it.
_HOLD = 3.0
_CACHE = "public, max-age=1"
_LISTS = "early-"
#: Sound is cut at its frame boundaries, some milliseconds after the picture.
_CUT_SLACK = 0.1


class EarlyLists:
    """Writes the text of the playlists for early playback."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.target = math.floor(float(plan.longest_segment) + _CUT_SLACK + 0.5)
        self.is_worthwhile = plan.duration > plan.longest_segment

    def lists(self, renditions: Mapping[str, Sequence[Segment]], *, ended: bool) -> dict[str, str]:
        """Returns the playlist of each rendition by its name."""
        return {
            early_list(name): growing_playlist(segments, target=self.target, ended=ended)
            for name, segments in renditions.items()
        }

    def master(self, stored: Mapping[str, Sequence[Segment]], codecs: Mapping[str, str]) -> str:
        """Returns the master playlist of renditions that have started. `codecs` are by rendition."""
        variants = [self._variant(rung, stored, codecs) for rung in self._plan.rungs]
        sounds = [audio_rendition(sound, early_list(sound.folder)) for sound in self._plan.sounds]
        return master_playlist(variants, sounds, [], captions=self._plan.video.has_captions)

    def _variant(
        self, rung: Rung, stored: Mapping[str, Sequence[Segment]], codecs: Mapping[str, str]
    ) -> Variant:
        """Returns a variant whose bit rate is the encoder's cap, or the first segments' peak if higher.

        The final bit rate is not known yet.
        """
        sounds = [sound.folder for sound in self._plan.sounds]
        peaks = {
            name: measure_bandwidth(stored[name], target=self.target).peak for name in (rung.name, *sounds)
        }
        cap = rung.max_bitrate + (self._plan.profile.audio_bitrate if sounds else 0)
        rate = max(cap, peaks[rung.name] + max((peaks[name] for name in sounds), default=0))
        return Variant(
            uri=early_list(rung.name),
            width=rung.width,
            height=rung.height,
            fps=self._plan.fps,
            codecs=",".join(dict.fromkeys(codecs[name] for name in (rung.name, *sounds))),
            bandwidth=Bandwidth(average=rate, peak=rate),
        )


async def put_lists(uploader: EncodeUploader, texts: Mapping[str, str]) -> None:
    """Puts playlists for early playback, while the caller holds the fence.

    The timeout keeps a slow store from delaying a cancellation. Raises BackendUnavailableError.
    """
    try:
        async with asyncio.timeout(_HOLD), task_group() as puts:
            for name, text in texts.items():
                put = uploader.put_once(name, text.encode(), content_type=PLAYLIST_TYPE, cache_control=_CACHE)
                puts.create_task(put)
    except TimeoutError:
        raise BackendUnavailableError("object store") from None


class EarlyStream:
    """Writes playlists that grow with the uploaded segments and finally end.

    They have their own names next to the rungs' folders, so that files named by a READY video never change.
    Every attempt writes the same files: during a write, `fence` keeps the next attempt from beginning, and
    raises FenceLostError if that attempt already runs. An attempt that `follows` another one keeps its
    playlists until it has as many segments, because playlists may only grow (RFC 8216, 4.3.3.5).
    """

    def __init__(
        self,
        plan: Plan,
        uploader: EncodeUploader,
        on_playable: Callable[[], Awaitable[None]],
        fence: Callable[[], AbstractAsyncContextManager[None]],
        *,
        follows: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._plan = plan
        self._early = EarlyLists(plan)
        self._target = self._early.target
        self._uploader = uploader
        self._on_playable = on_playable
        self._fence = fence
        self._follows = follows
        self._clock = clock
        #: Segments in the longest playlist that an earlier attempt left.
        self._standing = 0
        #: The segments last listed for each rendition.
        self._listed: dict[str, list[Segment]] = {}
        self._began = 0.0  # time at which it became playable

    async def follow(self, encoded: asyncio.Event) -> None:
        """Grows until `encoded` is set. Playable once every rendition has its first segment.

        Skipped for a single segment, because the video is READY at the same time.
        """
        if self._follows and self._early.is_worthwhile:
            self._standing = await self._count_standing()
        while self._early.is_worthwhile and not encoded.is_set():
            await self._uploader.news.wait()
            self._uploader.news.clear()
            if not encoded.is_set() and await self._grow():
                await wait_at_most(encoded, self._pause())

    async def end(self) -> None:
        """Lists all segments and ends the playlists."""
        if self._listed or self._standing:
            await self._put_texts(self._early.lists(self._stored(), ended=True))

    def _pause(self) -> float:
        """Returns seconds until the next update: at least half a target duration (RFC 8216, 6.2.2).

        Players reload once per target duration, and expect new segments within one and a half.
        """
        return self._target if self._ahead() >= _AHEAD * self._target else self._target / 2

    def _ahead(self) -> float:
        """Returns the listed seconds ahead of a viewer who began immediately."""
        listed = min(sum(segment.ticks for segment in segments) for segments in self._listed.values())
        return listed / CLOCK - (self._clock() - self._began)

    async def _grow(self) -> bool:
        """Lists new segments. Returns whether there were any."""
        stored = self._stored()
        if not stored or min(map(len, stored.values())) < max(1, self._standing):
            return False
        longer = {name: segments for name, segments in stored.items() if segments != self._listed.get(name)}
        if not longer:
            return False
        is_first = not self._listed
        texts = self._early.lists(longer, ended=False)
        if is_first:
            texts[EARLY_MASTER] = self._early.master(stored, first_codecs(self._uploader.measured))
        await self._put_texts(texts)
        self._listed |= longer
        if is_first:
            await self._on_playable()
            self._began = self._clock()
        return True

    async def _count_standing(self) -> int:
        texts = [await self._uploader.text(early_list(name)) for name in self._plan.renditions]
        return max(text.count("#EXTINF") for text in texts)

    def _stored(self) -> dict[str, list[Segment]]:
        return without_gaps(self._uploader.measured)

    async def _put_texts(self, texts: Mapping[str, str]) -> None:
        await patiently(lambda: self._put_fenced(texts), patience=self._uploader.patience)

    async def _put_fenced(self, texts: Mapping[str, str]) -> None:
        """Puts all texts, or none if the attempt is over."""
        async with self._fence():
            await put_lists(self._uploader, texts)


async def mark_playable(database: Database, store: ObjectStore, encode: Encode) -> Video:
    """Offers early playback: the row, and the gate that edges ask for. Returns the video.

    Raises FenceLostError and BackendUnavailableError.
    """
    async with database.transaction() as transaction:
        video = await transaction.encodes.mark_video_playable(encode)
        try:
            async with asyncio.timeout(_HOLD):
                await open_gate(store, video)
        except TimeoutError:
            raise BackendUnavailableError("object store") from None
    return video


async def end_lists(store: ObjectStore, video_id: UUID, number: int) -> None:
    """Ends the playlists of an encode that is over without success, so that its players stop.

    Raises BackendUnavailableError.
    """
    async for found in store.list(encode_prefix(video_id, number) + _LISTS):
        try:
            text = await store.read_range(found.key, start=0, size=found.size, etag=found.etag)
            if END.encode() not in text:
                ended = text + f"{END}\n".encode()
                await store.replace(
                    found.key, ended, etag=found.etag, content_type=PLAYLIST_TYPE, cache_control=_CACHE
                )
        except (ObjectNotFoundError, ObjectReplacedError):
            continue  # removed, or ended by another worker


def early_list(rendition: str) -> str:
    """Returns the name of the playlist of a rendition."""
    return f"{_LISTS}{rendition}.m3u8"


def without_gaps(measured: MeasuredSegments, *, first: int = 0) -> dict[str, list[Segment]]:
    """Returns each rendition's segments from the one with number `first` up to the first missing one."""
    return {name: list(_without_gaps(name, parts, first)) for name, parts in measured.items()}


def first_codecs(measured: MeasuredSegments) -> dict[str, str]:
    """Returns the codec of each rendition that has started."""
    return {name: next(iter(parts.values())).codec for name, parts in measured.items() if parts}


def _without_gaps(rendition: str, parts: Mapping[str, Measured], first: int) -> Iterator[Segment]:
    for expected, (name, part) in enumerate(sorted(parts.items()), first):
        if not name.startswith(f"{expected:05d}"):
            return
        ticks = round(part.whole.duration * CLOCK)
        yield Segment(name=f"{rendition}/{name}", ticks=ticks, size=part.whole.size)
