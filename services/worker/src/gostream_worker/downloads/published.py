"""Finds the segments of a published encode by its own playlists."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from gostream_conformance.errors import PlaylistError
from gostream_conformance.playlist.model import MasterPlaylist, Variant
from gostream_conformance.playlist.parser import parse_master, parse_media
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.object_keys import hls_prefix, master_key
from gostream_shared.storage.port import ObjectNotFoundError, ObjectStore, StoredObject


class UnreadableStreamError(Exception):
    """The published stream is not as this release writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedStream:
    """The segments of the best picture and of the default sound, in order; empty if there is none."""

    picture: Sequence[StoredObject]
    sound: Sequence[StoredObject]
    seconds: float


async def find_segments(store: ObjectStore, video_id: UUID, number: int) -> PublishedStream:
    """Returns the segments of the published encode.

    Raises UnreadableStreamError, and BackendUnavailableError also while another encode is being published.
    """
    prefix = hls_prefix(video_id)
    try:
        master = parse_master(await store.get(master_key(video_id)))
        best = max(master.variants, key=lambda variant: (variant.resolution or (0, 0), variant.bandwidth))
        if not best.uri.startswith(f"v{number}/"):
            raise BackendUnavailableError("object store", "its master playlist is of another encode")
        sizes = {found.key: found async for found in store.list(f"{prefix}v{number}/")}
        sound_uri = _default_sound(master, best)
        found: dict[str, Sequence[StoredObject]] = {}
        seconds = 0.0
        for uri in {best.uri, sound_uri} - {""}:
            playlist = parse_media(await store.get(prefix + uri))
            folder = posixpath.dirname(prefix + uri)
            found[uri] = [sizes[f"{folder}/{segment.uri}"] for segment in playlist.segments]
            seconds = max(seconds, playlist.duration)
    except (PlaylistError, ObjectNotFoundError, KeyError) as error:
        raise UnreadableStreamError(str(error)) from error
    picture = () if best.audio_only else found[best.uri]
    return PublishedStream(picture=picture, sound=found.get(sound_uri, ()), seconds=seconds)


def _default_sound(master: MasterPlaylist, best: Variant) -> str:
    """Returns the URI of the default sound, or "" for a silent film."""
    group = [r for r in master.renditions if (r.kind, r.group) == ("AUDIO", best.audio) and r.uri]
    default = next((rendition.uri for rendition in group if rendition.default), "")
    return default or (best.uri if best.audio_only else "")
