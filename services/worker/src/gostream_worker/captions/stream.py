"""The published stream of a video, as added subtitles must fit it."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from gostream_conformance.errors import PlaylistError
from gostream_conformance.playlist.parser import parse_master, parse_media
from gostream_conformance.tree.measures import SegmentMeasure
from gostream_shared.domain.object_keys import hls_prefix, master_key
from gostream_shared.storage.port import ObjectNotFoundError, ObjectStore
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.media_units import CLOCK
from gostream_worker.object_names import attempt_of
from gostream_worker.publish.measure import measure
from gostream_worker.publish.playlists import Segment

_VARIANT = re.compile(r"v([0-9]+)/([^/]+)/([^/]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedStream:
    """A published stream. `etag` and `master`: of the master playlist; `begins`: the first time stamp.

    `playlist` is the one of the smallest variant, at the path `playlist_path`, with the segments `pictures`;
    `first` is the measure of the first one, at `first_path`. Paths are relative to the master playlist.
    """

    number: int
    attempt: int
    etag: str
    master: str
    playlist_path: str
    playlist: bytes
    first_path: str
    first: SegmentMeasure
    begins: int
    pictures: Sequence[Segment]
    target: int


async def read_stream(store: ObjectStore, video_id: UUID) -> PublishedStream | None:
    """Returns None if there is none, or it was replaced while it was read.

    Raises BackendUnavailableError, and ProcessingFailedError if it cannot be understood.
    """
    try:
        stored = await store.head(master_key(video_id))
        master = await store.read_range(master_key(video_id), start=0, size=stored.size, etag=stored.etag)
        variant = min(parse_master(master).variants, key=lambda each: each.bandwidth)
        match = _VARIANT.fullmatch(variant.uri)
        if match is None:
            raise _strange(f"the variant {variant.uri[:100]!r}")
        folder = f"v{match[1]}/{match[2]}/"
        playlist = await store.get(hls_prefix(video_id) + variant.uri)
        media = parse_media(playlist)
        first_path = folder + media.segments[0].uri
        measured = await asyncio.to_thread(measure, await store.get(hls_prefix(video_id) + first_path))
    except ObjectNotFoundError:
        return None
    except (PlaylistError, ValueError, IndexError) as error:
        raise _strange(str(error)) from error
    return PublishedStream(
        number=int(match[1]),
        attempt=attempt_of(match[3]),
        etag=stored.etag,
        master=master.decode(),
        playlist_path=variant.uri,
        playlist=playlist,
        first_path=first_path,
        first=measured.whole,
        begins=measured.first_pts,
        pictures=[
            Segment(name=each.uri, ticks=round(each.duration * CLOCK), size=0) for each in media.segments
        ],
        target=media.target_duration,
    )


def _strange(what: str) -> ProcessingFailedError:
    return ProcessingFailedError(Code.INTERNAL, f"the published stream cannot be understood: {what}")
