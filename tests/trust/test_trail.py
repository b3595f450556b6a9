"""The trail: one row for each write, and sampled lines about refusals."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from gostream.v1 import track_service_pb2 as tracks
from gostream.v1 import upload_service_pb2 as uploads
from gostream.v1 import video_pb2
from gostream.v1 import video_service_pb2 as messages
from gostream.v1.track_service_pb2_grpc import TrackServiceStub
from gostream.v1.upload_service_pb2_grpc import UploadServiceStub
from gostream_api.rpc.refusals import LINES, REFUSALS, WINDOW, Refusals
from gostream_shared.domain.errors import UnauthenticatedError
from tests.trust.conftest import Api, Metadata, bearer, caller, outcome
from tests.trust.tokens import signed

TITLE, SOURCE = "A private title", b"film"
OFF = video_pb2.PLAYBACK_POLICY_OFF
NAMES = ["CreateVideo", "TriggerProcess", "CancelProcess", "UpdateVideo", "RevokePlayback", "DeleteVideo"]
NAMES += ["UndeleteVideo"]
EXPIRY = Timestamp(seconds=4_070_908_800)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture(autouse=True)
def fresh_windows() -> None:
    """Other tests of this process have had refusals too."""
    REFUSALS._windows.clear()


@pytest.fixture
def alice() -> Metadata:
    return caller("alice", "read", "write")


async def created(api: Api, who: Metadata, request_id: str = "") -> messages.CreateVideoResponse:
    request = messages.CreateVideoRequest(title=TITLE, size_bytes=len(SOURCE), request_id=request_id)
    answer: messages.CreateVideoResponse = await api.stub.CreateVideo(request, metadata=who, timeout=60)
    return answer


async def uploaded(api: Api, who: Metadata) -> tuple[str, str]:
    """The id of a video with a source, and its upload URL."""
    answer = await created(api, who)
    headers = dict(answer.upload.headers)
    async with (
        aiohttp.ClientSession() as session,
        session.request(answer.upload.method, answer.upload.url, headers=headers, data=SOURCE) as put,
    ):
        assert put.status == 200
    return answer.video.id, answer.upload.url


def writes(api: Api, video_id: str, who: Metadata) -> dict[str, Callable[[], Awaitable[Any]]]:
    """The writes of a video with a source, in an order in which all succeed."""
    requests = {
        "TriggerProcess": messages.TriggerProcessRequest(id=video_id),
        "CancelProcess": messages.CancelProcessRequest(id=video_id),
        "UpdateVideo": messages.UpdateVideoRequest(
            video=video_pb2.Video(
                id=video_id,
                playback_policy=OFF,
                title=TITLE + " again",
                labels={"key": "a private value"},
                external_id="a private id",
                expire_time=EXPIRY,
            )
        ),
        "RevokePlayback": messages.RevokePlaybackRequest(id=video_id),
        "DeleteVideo": messages.DeleteVideoRequest(id=video_id),
        "UndeleteVideo": messages.UndeleteVideoRequest(id=video_id),
    }
    metadata = (*who, ("x-request-id", "call-1"))
    return {
        name: lambda name=name, request=request: getattr(api.stub, name)(  # type: ignore[misc]
            request, metadata=metadata, timeout=60
        )
        for name, request in requests.items()
    }


async def rows_of(connection: asyncpg.Connection, video_id: str) -> list[asyncpg.Record]:
    return list(await connection.fetch("SELECT * FROM trail WHERE video_id = $1 ORDER BY id", UUID(video_id)))


async def test_each_write_leaves_one_row(api: Api, alice: Metadata, connection: asyncpg.Connection) -> None:
    video_id, _ = await uploaded(api, alice)
    for write in writes(api, video_id, alice).values():
        await write()

    rows = await rows_of(connection, video_id)

    assert [row["method"] for row in rows] == NAMES
    for row in rows:
        who = [row[name] for name in ("principal", "kind", "issuer", "owner", "peer")]
        assert who == ["corp:alice", "user", "corp", "corp:alice", "127.0.0.1"]
        assert (row["outcome"], row["reason"]) == ("CHANGED", "")
    assert {row["request_id"] for row in rows[1:]} == {"call-1"}
    assert [json.loads(row["changed"]) for row in rows] == [
        {"status": "PENDING_UPLOAD", "playback_policy": "PUBLIC"},
        {"status": "PROCESSING", "profile": "default", "encode_number": 1},
        {"status": "CANCELLED"},
        {
            "fields": "expires_at,external_id,labels,playback_policy,title",
            "playback_policy": "OFF",
            "playback_epoch": 2,
            "expires_at": "2099-01-01T00:00:00+00:00",
        },
        {"playback_epoch": 3},
        {"deleted": True},
        {"deleted": False, "status": "CANCELLED"},
    ]


async def test_upload_sessions_leave_rows_with_their_caller(
    api: Api, alice: Metadata, connection: asyncpg.Connection
) -> None:
    video_id = (await created(api, alice)).video.id
    stub: Any = UploadServiceStub(api.doors["grpc.aio"].channel)
    for request in (
        uploads.CreateUploadRequest(video_id=video_id),
        uploads.GetUploadRequest(video_id=video_id),
        uploads.AbortUploadRequest(video_id=video_id),
    ):
        method = type(request).__name__.removesuffix("Request")
        await getattr(stub, method)(request, metadata=alice, timeout=60)
    bob = caller("bob", "write")
    foreign = stub.AbortUpload(uploads.AbortUploadRequest(video_id=video_id), metadata=bob, timeout=60)
    assert str(await outcome(foreign)) == "NOT_FOUND VIDEO_NOT_FOUND"

    rows = (await rows_of(connection, video_id))[1:]

    assert [(row["method"], row["principal"], row["owner"]) for row in rows] == [
        ("CreateUpload", "corp:alice", "corp:alice"),
        ("AbortUpload", "corp:alice", "corp:alice"),
    ]


async def test_tracks_leave_rows_without_names(
    api: Api, alice: Metadata, connection: asyncpg.Connection
) -> None:
    video_id = (await created(api, alice)).video.id
    stub: Any = TrackServiceStub(api.doors["grpc.aio"].channel)
    add = tracks.AddTrackRequest(
        video_id=video_id,
        kind=video_pb2.Track.KIND_SUBTITLES,
        language="de",
        name="A private name",
        source_url="https://films.example/a?token=secret",
        request_id="one",
    )
    track_id = (await stub.AddTrack(add, metadata=alice, timeout=60)).track.id
    for request in (
        add,
        tracks.PrepareTrackRequest(video_id=video_id, id=track_id),
        tracks.UpdateTrackRequest(video_id=video_id, track=video_pb2.Track(id=track_id, name=TITLE)),
        tracks.ListTracksRequest(video_id=video_id),
        tracks.DeleteTrackRequest(video_id=video_id, id=track_id),
    ):
        method = type(request).__name__.removesuffix("Request")
        await getattr(stub, method)(request, metadata=alice, timeout=60)

    rows = (await rows_of(connection, video_id))[1:]

    assert [(row["method"], row["outcome"], json.loads(row["changed"])) for row in rows] == [
        ("AddTrack", "CHANGED", {"track": track_id, "language": "de", "source": "url"}),
        ("AddTrack", "UNCHANGED", {}),
        ("PrepareTrack", "UNCHANGED", {}),
        ("UpdateTrack", "CHANGED", {"track": track_id, "fields": "name"}),
        ("DeleteTrack", "CHANGED", {"track": track_id, "track_deleted": True}),
    ]


async def test_owner_is_the_videos_owner(api: Api, alice: Metadata, connection: asyncpg.Connection) -> None:
    video_id = (await created(api, alice)).video.id

    request = messages.DeleteVideoRequest(id=video_id)
    await api.stub.DeleteVideo(request, metadata=api.admin, timeout=60)

    row = (await rows_of(connection, video_id))[-1]
    assert (row["principal"], row["owner"]) == ("corp:root", "corp:alice")


@pytest.mark.slow
async def test_write_without_its_row_fails(api: Api, alice: Metadata, connection: asyncpg.Connection) -> None:
    video_id, _ = await uploaded(api, alice)

    async def state() -> tuple[int, int, int]:
        version = await connection.fetchval("SELECT version FROM videos WHERE id = $1", UUID(video_id))
        counts = [await connection.fetchval(f"SELECT count(*) FROM {it}") for it in ("videos", "pgqueuer")]  # noqa: S608
        return version, counts[0], counts[1]

    for name, write in writes(api, video_id, alice).items():
        await connection.execute("ALTER TABLE trail ADD CONSTRAINT full_disk CHECK (false) NOT VALID")
        before = await state()
        assert str(await outcome(write())) == "INTERNAL INTERNAL", name
        assert str(await outcome(created(api, alice))) == "INTERNAL INTERNAL"
        assert await state() == before, name
        await connection.execute("ALTER TABLE trail DROP CONSTRAINT full_disk")
        await write()


async def test_repeated_requests_leave_unchanged_rows(
    api: Api, alice: Metadata, connection: asyncpg.Connection
) -> None:
    first, again = [await created(api, alice, request_id="r1") for _ in range(2)]
    assert first.video.id == again.video.id
    video_id, _ = await uploaded(api, alice)
    trigger = writes(api, video_id, alice)["TriggerProcess"]
    update = writes(api, video_id, alice)["UpdateVideo"]
    for write in (trigger, trigger, update, update):
        await write()

    rows = await rows_of(connection, first.video.id) + (await rows_of(connection, video_id))[1:]

    assert [(row["method"], row["outcome"], row["reason"]) for row in rows] == [
        ("CreateVideo", "CHANGED", ""),
        ("CreateVideo", "UNCHANGED", "SAME_REQUEST"),
        ("TriggerProcess", "CHANGED", ""),
        ("TriggerProcess", "UNCHANGED", "SAME_REQUEST"),
        ("UpdateVideo", "CHANGED", ""),
        ("UpdateVideo", "UNCHANGED", "SAME_VALUES"),
    ]
    assert {row["changed"] for row in rows if row["outcome"] == "UNCHANGED"} == {"{}"}


async def test_refused_writes_leave_no_row(api: Api, alice: Metadata, connection: asyncpg.Connection) -> None:
    video_id = (await created(api, alice)).video.id
    for name, write in writes(api, video_id, caller("bob", "read", "write")).items():
        assert str(await outcome(write())) == "NOT_FOUND VIDEO_NOT_FOUND", name

    assert [row["method"] for row in await rows_of(connection, video_id)] == ["CreateVideo"]


async def test_rows_hold_no_secret(api: Api, alice: Metadata, connection: asyncpg.Connection) -> None:
    video_id, url = await uploaded(api, alice)
    for write in writes(api, video_id, alice).values():
        await write()

    text = str([tuple(row.values()) for row in await rows_of(connection, video_id)])

    token = dict(alice)["authorization"].removeprefix("Bearer ")
    for secret in (token, token.rpartition(".")[2], TITLE, "private", url, "X-Amz-Signature", "http"):
        assert secret not in text


async def test_refusals_are_logged_without_tokens(api: Api, alice: Metadata) -> None:
    video_id, bob = (await created(api, alice)).video.id, caller("bob", "read")
    read, delete = messages.GetVideoRequest(id=video_id), messages.DeleteVideoRequest(id=video_id)
    expired = signed(sub="eve", exp=1)

    with capture_logs(processors=[merge_contextvars]) as lines:
        await outcome(api.stub.GetVideo(read, metadata=bearer(expired), timeout=60))
        await outcome(api.stub.DeleteVideo(delete, metadata=bob, timeout=60))
        await outcome(api.stub.GetVideo(read, metadata=bob, timeout=60))
        await outcome(api.stub.GetVideo(messages.GetVideoRequest(id=str(uuid4())), metadata=bob, timeout=60))

    refused = [line for line in lines if line["event"] == "refused"]
    assert [(line["reason"], line.get("principal")) for line in refused] == [
        ("TOKEN_INVALID", None),
        ("SCOPE_MISSING", "corp:bob"),
        ("NOT_OWNER", "corp:bob"),
    ]
    assert refused[1]["scope"] == "videos:write"
    assert refused[2]["video_id"] == video_id
    assert {line["peer"] for line in refused} == {"127.0.0.1"}
    assert expired not in str(lines)
    assert dict(bob)["authorization"] not in str(lines)


async def test_hits_of_others_are_logged_once(api: Api, alice: Metadata) -> None:
    video_id, bob = (await created(api, alice)).video.id, caller("bob", "read")
    await api.heat(video_id)

    for name, door in api.doors.items():
        with capture_logs(processors=[merge_contextvars]) as lines:
            await outcome(door.call("GetVideo", messages.GetVideoRequest(id=video_id), bob))

        refused = [line for line in lines if line["event"] == "refused"]
        assert [(line["reason"], line["principal"]) for line in refused] == [("NOT_OWNER", "corp:bob")], name
        assert refused[0]["video_id"] == video_id


def test_refusals_are_sampled() -> None:
    now = 0.0
    refusals = Refusals(lambda: now)

    with capture_logs() as lines:
        for _ in range(LINES + 7):
            refusals.note(UnauthenticatedError("expired"))
        now = WINDOW
        refusals.note(UnauthenticatedError("expired"))

    assert [line["not_logged"] for line in lines] == [0] * LINES + [7]
