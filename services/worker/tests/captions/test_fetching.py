"""Files of added tracks from URLs, also of servers that misbehave."""

from uuid import UUID, uuid4

import pytest

from gostream_shared.domain.companions.added_tracks import AddedState, AddedTrack
from gostream_shared.domain.jobs import FetchTrackJob
from gostream_shared.domain.object_keys import track_key
from gostream_shared.domain.tracks import TrackCode
from gostream_shared.egress.guard import EgressGuard
from gostream_shared.storage.port import ObjectNotFoundError
from gostream_worker.captions.fetching import TrackFetcher
from gostream_worker.jobs.verdict import DONE
from services.worker.tests.conftest import Worker
from services.worker.tests.ingest.source_server import SourceServer, serving

from .conftest import SRT, Captions

pytestmark = pytest.mark.stack

GUARD = EgressGuard.of("127.0.0.1/32", allows_http=True)


async def fetched(
    worker: Worker, captions: Captions, server: SourceServer, guard: EgressGuard = GUARD, timeout: float = 100
) -> AddedTrack:
    """Returns the row after the job of a track behind the server."""
    video_id = await worker.upload(b"film")
    async with serving(server):
        track_id = await captions.add(video_id, url=server.url, state=AddedState.PREPARING)
        await worker.dependencies.store.delete([track_key(video_id, track_id)])
        backends = worker.dependencies
        fetcher = TrackFetcher(backends.database, backends.store, guard, timeout=timeout)
        assert await fetcher.fetch(FetchTrackJob(video_id=video_id, track_id=track_id)) == DONE
    row = await backends.database.added_tracks.get(video_id, track_id)
    assert row is not None
    return row


async def is_stored(worker: Worker, row: AddedTrack) -> bool:
    try:
        await worker.dependencies.store.head(track_key(row.video_id, row.id))
    except ObjectNotFoundError:
        return False
    return True


@pytest.mark.parametrize("has_length", [True, False])
async def test_file_is_stored_and_its_url_forgotten(
    worker: Worker, captions: Captions, has_length: bool
) -> None:
    row = await fetched(worker, captions, SourceServer(SRT.encode(), has_length=has_length))

    assert (row.state, row.url, row.size_bytes) == (AddedState.PREPARING, "", len(SRT))
    assert await worker.dependencies.store.get(track_key(row.video_id, row.id)) == SRT.encode()
    jobs = await worker._database.pool.fetch("SELECT 1 FROM pgqueuer WHERE entrypoint = 'publish-tracks'")
    assert len(jobs) == 1


@pytest.mark.parametrize(
    ("server", "code"),
    [
        (SourceServer(b"x", redirects=["http://169.254.169.254/latest/meta-data"]), "SOURCE_URL_REFUSED"),
        (SourceServer(b"x", redirects=["file:///etc/passwd"]), "SOURCE_URL_REFUSED"),
        (SourceServer(b"x", redirects=["/again"] * 9), "SOURCE_UNREACHABLE"),
        (SourceServer(b"x", statuses=[404]), "SOURCE_UNREACHABLE"),
        (SourceServer(b"x", headers={"Content-Encoding": "gzip"}), "SOURCE_UNREACHABLE"),
        (SourceServer(b"x" * ((5 << 20) + 1)), "SUBTITLES_TOO_LARGE"),
        (SourceServer(b"x" * (8 << 20), has_length=False), "SUBTITLES_TOO_LARGE"),
    ],
    ids=["internal", "scheme", "loop", "missing", "compressed", "large", "endless"],
)
async def test_other_answers_fail_with_a_code(
    worker: Worker, captions: Captions, server: SourceServer, code: str
) -> None:
    row = await fetched(worker, captions, server)

    assert (row.state, row.error_code, row.url) == (AddedState.FAILED, code, "")
    assert not await is_stored(worker, row)


async def test_slow_server_fails_after_the_deadline(worker: Worker, captions: Captions) -> None:
    server = SourceServer(SRT.encode(), held_at=0)
    server.go_on.clear()

    row = await fetched(worker, captions, server, timeout=1)

    assert (row.state, row.error_code) == (AddedState.FAILED, TrackCode.SOURCE_UNREACHABLE)


async def test_internal_host_is_not_dialled(worker: Worker, captions: Captions) -> None:
    """A name that leads to an internal address at the time of the fetch."""
    server = SourceServer(SRT.encode())

    row = await fetched(worker, captions, server, EgressGuard.of("", allows_http=True), timeout=5)

    assert (row.state, server.requests) == (AddedState.FAILED, [])


async def test_job_of_a_deleted_track_does_nothing(worker: Worker, captions: Captions) -> None:
    video_id: UUID = await worker.upload(b"film")
    backends = worker.dependencies
    fetcher = TrackFetcher(backends.database, backends.store, GUARD)

    assert await fetcher.fetch(FetchTrackJob(video_id=video_id, track_id=uuid4())) == DONE
