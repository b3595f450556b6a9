"""Test videos, and an in-memory repository of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid4

from gostream_shared.domain.errors import BackendUnavailableError, VideoNotFoundError
from gostream_shared.domain.video import Video, VideoStatus
from gostream_shared.domain.videos.listing import ListedVideo, State

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def make_video(video_id: UUID | None = None, *, version: int = 1, title: str = "a title") -> Video:
    """A committed video that waits for its upload."""
    return Video(
        id=video_id or uuid4(),
        user_id="someone",
        title=title,
        status=VideoStatus.PENDING_UPLOAD,
        version=version,
        content_type="video/mp4",
        created_at=_EPOCH,
        updated_at=_EPOCH,
    )


def listed(video: Video) -> ListedVideo:
    """The video as a row of a listing."""
    return ListedVideo(
        State(video.id, video.version, video.updated_at), video.created_at, partial(replace, video)
    )


@dataclass
class FakeVideos:
    """The read methods of VideoRepository. Counts loads; can pause after its snapshot; can be down."""

    rows: dict[UUID, Video] = field(default_factory=dict)
    tombstones: dict[UUID, int] = field(default_factory=dict)
    loads: int = 0
    down: bool = False
    resume: asyncio.Event = field(default_factory=asyncio.Event)
    paused: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.resume.set()

    def put(self, video: Video) -> Video:
        self.rows[video.id] = video
        return video

    def hold(self) -> None:
        """Pauses later loads until `resume` is set. Sets `paused` when the first load pauses."""
        self.resume.clear()
        self.paused.clear()

    async def get(self, video_id: UUID) -> Video:
        self.loads += 1
        if self.down:
            raise BackendUnavailableError("database")
        found, tombstone = self.rows.get(video_id), self.tombstones.get(video_id, 0)
        await self._pause()
        if found is None or tombstone:
            raise VideoNotFoundError(video_id, version=tombstone)
        return found

    async def get_many(self, video_ids: Sequence[UUID]) -> dict[UUID, Video]:
        self.loads += 1
        if self.down:
            raise BackendUnavailableError("database")
        found = {key: self.rows[key] for key in video_ids if key in self.rows and key not in self.tombstones}
        await self._pause()
        return found

    async def _pause(self) -> None:
        """Simulates a slow network between the snapshot and its reader."""
        self.paused.set()
        await self.resume.wait()
