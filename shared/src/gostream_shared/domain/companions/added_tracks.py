"""Subtitles that were added to a video besides those of its source."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from gostream_shared.domain.tracks import Track, TrackCode, TrackKind, TrackState
from gostream_shared.domain.video import Publication, Video

#: Subtitles of one video: those of its source that are published, and the added ones.
MOST_TEXTS = 16
#: Bytes of a file of subtitles.
MOST_BYTES = 5 << 20


class AddedState(enum.StrEnum):
    """Where an added track is in its life. READY: it was read, and belongs into every publication."""

    UPLOADING = "UPLOADING"
    PREPARING = "PREPARING"
    READY = "READY"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedTrack:
    """An added track. `language`: BCP 47; `name`: empty = the name of the language.

    `url` is set until the file behind it is stored. `number` is unique among all tracks. `size_bytes` is the
    size of the file, 0 if it is unknown.
    """

    video_id: UUID
    id: UUID
    language: str
    name: str = ""
    is_default: bool = False
    is_forced: bool = False
    is_sdh: bool = False
    state: AddedState = AddedState.UPLOADING
    error_code: str = ""
    url: str = ""
    size_bytes: int = 0
    number: int = 0

    @property
    def stored_as(self) -> int:
        """The number of its objects among the stored bytes of the video."""
        return -self.number

    def described(self, published: Track | None) -> Track:
        """Returns the track as the API shows it. `published`: what the publication says about it."""
        is_ready = published is not None and published.state is TrackState.READY
        if self.state is AddedState.FAILED:
            state, code = TrackState.FAILED, self.error_code
        elif published is not None and not is_ready:
            state, code = published.state, published.error_code
        else:
            state, code = (TrackState.READY if is_ready else TrackState.PREPARING), ""
        return Track(
            id=str(self.id),
            kind=TrackKind.SUBTITLES,
            state=state,
            language=self.language,
            name=self.name or (published.name if published else ""),
            is_default=self.is_default,
            is_forced=self.is_forced,
            is_sdh=self.is_sdh,
            is_embedded=False,
            error_code=code,
            path=published.path if published and is_ready else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackChanges:
    """New values of those of a track's fields that `fields` names."""

    fields: frozenset[str]
    language: str = ""
    name: str = ""
    is_default: bool = False
    is_forced: bool = False
    is_sdh: bool = False


class AddedTracks(Protocol):
    """Added tracks in the database of record. Only `publish` changes the version of a video.

    Every method raises BackendUnavailableError.
    """

    async def lock_video(self, video_id: UUID) -> Video | None:
        """Lock the video until the end of the transaction; None if it does not exist or is deleted."""
        ...

    async def add(
        self, track: AddedTrack, *, request_id: str | None, fingerprint: str
    ) -> tuple[AddedTrack, bool]:
        """Insert a track, or return the one that this request_id added before, and False.

        A default takes the mark from another track. Lock the video first. Raises RequestIdReusedError if the
        earlier request had another fingerprint.
        """
        ...

    async def get(self, video_id: UUID, track_id: UUID) -> AddedTrack | None: ...

    async def of_video(self, video_id: UUID) -> Sequence[AddedTrack]:
        """Returns the tracks of a video, oldest first."""
        ...

    async def update(
        self, video_id: UUID, track_id: UUID, changes: TrackChanges
    ) -> tuple[AddedTrack, bool] | None:
        """Apply the changes. Returns the track, and False if the values were equal; None without a track.

        A default takes the mark from another track. Lock the video first.
        """
        ...

    async def delete(self, video_id: UUID, track_id: UUID, *, only: AddedState | None = None) -> bool:
        """Delete the row of a track, if it is in the state `only`. Returns whether there was one."""
        ...

    async def start(self, video_id: UUID, track_id: UUID) -> bool:
        """UPLOADING → PREPARING. Returns whether that changed the state."""
        ...

    async def begin_try(self, video_id: UUID, track_id: UUID) -> int:
        """Count a try to prepare a track. Returns the number of tries, 0 if it is not PREPARING."""
        ...

    async def note_fetched(self, video_id: UUID, track_id: UUID, *, size_bytes: int) -> None:
        """Record that the file is stored, and forget its URL, which may contain a secret."""
        ...

    async def settle(self, video_id: UUID, track_id: UUID, code: TrackCode | None) -> None:
        """PREPARING → READY; with a code PREPARING or READY → FAILED."""
        ...

    async def publish(self, video_id: UUID, publication: Publication) -> Video:
        """Replace the publication of a locked video. Returns its next version."""
        ...
