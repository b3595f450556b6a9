"""A worker that publishes added tracks, on a real database and object store."""

from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest

from gostream_shared.domain.companions.added_tracks import AddedState, AddedTrack
from gostream_shared.domain.jobs import PublishTracksJob
from gostream_shared.domain.object_keys import track_key
from gostream_shared.domain.tracks import Track
from gostream_worker.captions.publishing import TrackPublisher
from gostream_worker.jobs.verdict import Verdict
from services.worker.tests.conftest import Worker

SRT = "1\n00:00:00,500 --> 00:00:01,500\n<i>First</i> & last\n"


@dataclass
class Captions:
    """The steps of the API, and the worker behind them."""

    worker: Worker

    @property
    def publisher(self) -> TrackPublisher:
        backends = self.worker.dependencies
        return TrackPublisher(
            backends.database,
            backends.store,
            backends.announcer,
            backends.edge,
            self.worker.work,
            step_patience=0.0,
        )

    async def add(self, video_id: UUID, data: str | bytes = SRT, **values: object) -> UUID:
        """Returns the id of a track with a stored file, as PrepareTrack leaves it."""
        fields = {"language": "de", "state": AddedState.PREPARING, **values}
        track = AddedTrack(video_id=video_id, id=uuid4(), **fields)  # type: ignore[arg-type]
        async with self.worker.dependencies.database.transaction() as transaction:
            await transaction.added_tracks.lock_video(video_id)
            await transaction.added_tracks.add(track, request_id=None, fingerprint="")
        body = data.encode() if isinstance(data, str) else data
        await self.worker.dependencies.store.put(track_key(video_id, track.id), body, content_type="x/x")
        return track.id

    async def publish(self, video_id: UUID) -> Verdict:
        return await self.publisher.publish(PublishTracksJob(video_id=video_id, change=uuid4().hex))

    async def tracks(self, video_id: UUID) -> dict[UUID, Track]:
        """Returns what the video says about its added tracks."""
        publication = (await self.worker.video(video_id)).publication
        assert publication is not None
        return {UUID(track.id): track for track in publication.tracks if not track.is_embedded}

    async def lines(self, video_id: UUID) -> list[str]:
        """Returns the subtitles of the master playlist."""
        master = await self.worker.master(video_id)
        return [line for line in master.splitlines() if "TYPE=SUBTITLES" in line]


@pytest.fixture
def captions(worker: Worker) -> Captions:
    return Captions(worker)
