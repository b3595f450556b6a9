"""TrackService on a real database and object store."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import aiohttp
import asyncpg
import grpc
import pytest

from gostream.v1 import track_service_pb2 as messages
from gostream.v1.track_service_pb2_grpc import TrackServiceStub
from gostream.v1.video_pb2 import Track
from gostream.v1.video_service_pb2 import DeleteVideoRequest, GetVideoRequest
from gostream_shared.db.database import PostgresDatabase
from services.api.tests.conftest import Api
from tests.trust.outcomes import outcome

pytestmark = pytest.mark.stack

FILE = b"1\n00:00:01,000 --> 00:00:02,000\nx\n"


class Tracks:
    """The calls of TrackService for one video."""

    def __init__(self, stub: Any, video_id: str) -> None:
        self.stub = stub
        self.video_id = video_id

    async def add(self, **fields: Any) -> messages.AddTrackResponse:
        size = 0 if "source_url" in fields else len(FILE)
        plain = {"kind": Track.KIND_SUBTITLES, "language": "de", "size_bytes": size}
        request = messages.AddTrackRequest(video_id=self.video_id, **{**plain, **fields})
        added: messages.AddTrackResponse = await self.stub.AddTrack(request)
        return added

    async def send(self, added: messages.AddTrackResponse, body: bytes = FILE) -> int:
        headers = dict(added.upload.headers)
        async with (
            aiohttp.ClientSession() as session,
            session.put(added.upload.url, data=body, headers=headers) as answer,
        ):
            return answer.status

    async def prepare(self, track_id: str) -> Track:
        request = messages.PrepareTrackRequest(video_id=self.video_id, id=track_id)
        track: Track = await self.stub.PrepareTrack(request)
        return track

    async def update(self, **fields: Any) -> Track:
        request = messages.UpdateTrackRequest(video_id=self.video_id, track=Track(**fields))
        track: Track = await self.stub.UpdateTrack(request)
        return track

    async def delete(self, track_id: str) -> None:
        await self.stub.DeleteTrack(messages.DeleteTrackRequest(video_id=self.video_id, id=track_id))

    async def all(self) -> list[Track]:
        answer = await self.stub.ListTracks(messages.ListTracksRequest(video_id=self.video_id))
        return list(answer.tracks)


async def refusal(call: Awaitable[Any]) -> str:
    return str(await outcome(call))


@pytest.fixture
async def tracks(api: Api) -> Tracks:
    return Tracks(TrackServiceStub(api.channel), (await api.create()).video.id)


async def jobs(database: PostgresDatabase, kind: str) -> list[asyncpg.Record]:
    return await database.pool.fetch("SELECT * FROM pgqueuer WHERE entrypoint = $1", kind)


async def test_upload_then_preparation_enqueues_a_job(
    api: Api, tracks: Tracks, database: PostgresDatabase
) -> None:
    before = await api.stub.GetVideo(GetVideoRequest(id=tracks.video_id))
    added = await tracks.add(name="Deutsch", is_sdh=True)

    assert (added.track.state, added.track.is_embedded, added.track.url) == (Track.STATE_PREPARING, False, "")
    assert await refusal(tracks.prepare(added.track.id)) == "FAILED_PRECONDITION SOURCE_NOT_UPLOADED"
    assert await jobs(database, "publish-tracks") == []
    assert await tracks.send(added) == 200
    await tracks.prepare(added.track.id)

    assert len(await jobs(database, "publish-tracks")) == 1
    await tracks.prepare(added.track.id)
    assert len(await jobs(database, "publish-tracks")) == 2, "a repeated call helps a job that got lost"
    assert [track.id for track in await tracks.all()] == [added.track.id]
    assert await api.stub.GetVideo(GetVideoRequest(id=tracks.video_id)) == before


async def test_store_accepts_the_stated_file_once(tracks: Tracks) -> None:
    added = await tracks.add()

    assert await tracks.send(added, FILE + b" ") == 403
    assert await tracks.send(added) == 200
    assert await tracks.send(added) == 412


async def test_request_id_adds_one_track(tracks: Tracks) -> None:
    first, second = await asyncio.gather(tracks.add(request_id="a"), tracks.add(request_id="a"))

    assert first.track.id == second.track.id
    assert len(await tracks.all()) == 1
    assert await refusal(tracks.add(request_id="a", language="fr")) == "INVALID_ARGUMENT REQUEST_ID_REUSED"


async def test_concurrent_calls_stay_within_the_limit(tracks: Tracks) -> None:
    calls = [tracks.add(name=f"{number}") for number in range(20)]
    added = await asyncio.gather(*calls, return_exceptions=True)

    assert sum(isinstance(each, messages.AddTrackResponse) for each in added) == 16
    assert await refusal(tracks.add()) == "RESOURCE_EXHAUSTED QUOTA_EXCEEDED"
    await tracks.delete((await tracks.all())[0].id)
    await tracks.add()


async def test_one_track_is_the_default(tracks: Tracks) -> None:
    first = (await tracks.add(is_default=True)).track
    second = (await tracks.add(is_default=True)).track
    assert [track.is_default for track in await tracks.all()] == [False, True]

    await tracks.update(id=first.id, is_default=True)
    assert [track.is_default for track in await tracks.all()] == [True, False]
    await tracks.update(id=second.id, name="x")
    assert [track.name for track in await tracks.all()] == ["", "x"]


async def test_unfinished_upload_has_a_removal(tracks: Tracks, database: PostgresDatabase) -> None:
    added = await tracks.add()

    (job,) = await jobs(database, "remove")
    assert added.track.id in job["payload"].decode()
    assert job["execute_after"] > job["created"]


async def test_url_is_fetched_and_forgotten_by_a_deletion(
    api: Api, tracks: Tracks, database: PostgresDatabase
) -> None:
    assert (
        await refusal(tracks.add(source_url="https://127.0.0.1/a")) == "INVALID_ARGUMENT SOURCE_URL_REFUSED"
    )
    added = await tracks.add(source_url="https://films.example/a.srt?token=secret")
    assert not added.HasField("upload")
    assert len(await jobs(database, "fetch-track")) == 1

    await api.stub.DeleteVideo(DeleteVideoRequest(id=tracks.video_id))

    assert await database.pool.fetchval("SELECT count(url) FROM added_tracks") == 0
    assert await refusal(tracks.all()) == "NOT_FOUND VIDEO_NOT_FOUND"
    assert await refusal(tracks.add()) == "NOT_FOUND VIDEO_NOT_FOUND"


async def test_missing_track_is_named(tracks: Tracks) -> None:
    absent = "0193b3c4-0000-7000-8000-000000000001"
    for call in (tracks.prepare(absent), tracks.delete(absent), tracks.update(id=absent, name="x")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert absent in (caught.value.details() or "")
