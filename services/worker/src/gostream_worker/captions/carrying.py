"""Takes the added tracks of a video along with a new encode."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol
from uuid import UUID

from gostream_shared.domain.companions.added_tracks import AddedTrack
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.repositories import Database
from gostream_shared.domain.tracks import Track, TrackCode
from gostream_shared.domain.video import Publication
from gostream_shared.storage.port import ObjectStore
from gostream_worker.captions.planning import described, plan_added
from gostream_worker.captions.reading import read_added
from gostream_worker.object_names import text_name
from gostream_worker.plan.texts import Text
from gostream_worker.retry import patiently
from gostream_worker.text.reader import Read


@dataclass(frozen=True, slots=True)
class Carried:
    """The added tracks of an encode. `texts`: what is published next to the subtitles of the source."""

    added: tuple[AddedTrack, ...] = ()
    texts: Mapping[Text, Read] = field(default_factory=dict)

    def in_publication(
        self, publication: Publication, encode: Encode, unread: Mapping[int, TrackCode]
    ) -> Publication:
        """Returns the publication with the added tracks. `unread`: reasons by index of unpublished texts."""
        texts = {_id_of(text, self.added): text for text in self.texts}
        prefix = f"v{encode.number}/"
        paths = {
            track_id: prefix + text_name(text.folder, encode.attempt)
            for track_id, text in texts.items()
            if text.index not in unread
        }
        reasons = {track_id: unread[text.index] for track_id, text in texts.items() if text.index in unread}
        added = described(self.added, texts, paths, reasons)
        return replace(publication, tracks=(*publication.tracks, *added))


class Backends(Protocol):
    """Where tracks are."""

    @property
    def database(self) -> Database: ...

    @property
    def store(self) -> ObjectStore: ...


class Settings(Protocol):
    """The settings of encodes that matter here."""

    @property
    def step_patience(self) -> float: ...

    @property
    def sandbox_required(self) -> bool: ...


async def carry_along(
    backends: Backends, settings: Settings, encode: Encode, tracks: tuple[Track, ...], folder: Path
) -> Carried:
    """Reads the added tracks that were prepared before. `tracks`: those of the source.

    The publication of the encode enqueues a job for what changes afterwards. Raises BackendUnavailableError.
    """
    return await patiently(
        lambda: _carry_along(backends, settings, encode, tracks, folder), patience=settings.step_patience
    )


async def _carry_along(
    backends: Backends, settings: Settings, encode: Encode, tracks: tuple[Track, ...], folder: Path
) -> Carried:
    added = tuple(await backends.database.added_tracks.of_video(encode.video_id))
    texts = plan_added(added, tracks)
    planned = [track for track in added if track.id in texts]
    read = await read_added(backends.store, planned, folder, sandbox_required=settings.sandbox_required)
    return Carried(added, {texts[track_id]: found for track_id, found in read.items()})


def _id_of(text: Text, added: tuple[AddedTrack, ...]) -> UUID:
    return next(track.id for track in added if text.folder.endswith(str(track.id)))
