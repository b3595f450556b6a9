"""What belongs to an owner: pages, request ids, batches, watches, and the videos of before."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from gostream.v1 import video_service_pb2 as messages
from gostream_shared.db.migrate import assign_owner
from tests.trust.conftest import Api, Metadata, StartApi, caller, outcome

ALICE, BOB = "corp:alice", "corp:bob"


@pytest.fixture
def alice() -> Metadata:
    return caller("alice", "read", "write")


@pytest.fixture
def bob() -> Metadata:
    return caller("bob", "read", "write")


async def listed(api: Api, who: Metadata, **fields: object) -> messages.ListVideosResponse:
    request = messages.ListVideosRequest(**fields)  # type: ignore[arg-type]
    page: messages.ListVideosResponse = await api.stub.ListVideos(request, metadata=who, timeout=60)
    return page


async def test_lists_hold_the_videos_of_the_caller(api: Api, alice: Metadata, bob: Metadata) -> None:
    mine = {await api.create(ALICE) for _ in range(3)}
    others = {await api.create(BOB)}

    assert {video.id for video in (await listed(api, alice)).videos} == mine
    assert {video.id for video in (await listed(api, bob)).videos} == others
    assert {video.id for video in (await listed(api, api.admin)).videos} == mine | others
    assert {video.id for video in (await listed(api, api.admin, user_id=BOB)).videos} == others


async def test_page_tokens_belong_to_their_owner(api: Api, alice: Metadata, bob: Metadata) -> None:
    for owner in (ALICE, ALICE, BOB, BOB):
        await api.create(owner)
    token = (await listed(api, alice, page_size=1)).next_page_token

    assert len((await listed(api, alice, page_token=token)).videos) == 1
    for who in (bob, api.admin):
        request = messages.ListVideosRequest(page_token=token)
        stolen = await outcome(api.stub.ListVideos(request, metadata=who, timeout=60))
        assert str(stolen) == "INVALID_ARGUMENT PAGE_TOKEN_INVALID"


async def test_deleted_videos_belong_to_their_owner(api: Api, alice: Metadata, bob: Metadata) -> None:
    video_id, absent = await api.create(ALICE), str(uuid4())
    await api.stub.DeleteVideo(messages.DeleteVideoRequest(id=video_id), metadata=alice, timeout=60)

    assert [video.id for video in (await listed(api, alice, show_deleted=True)).videos] == [video_id]
    assert not (await listed(api, bob, show_deleted=True)).videos

    async def undelete(which: str, who: Metadata) -> str:
        request = messages.UndeleteVideoRequest(id=which)
        answer = await outcome(api.stub.UndeleteVideo(request, metadata=who, timeout=60))
        return repr(answer).replace(which, "ID")

    assert await undelete(video_id, bob) == await undelete(absent, bob)
    request = messages.DeleteVideoRequest(id=video_id, permanent=True)
    refused = await outcome(api.stub.DeleteVideo(request, metadata=bob, timeout=60))
    assert str(refused) == "NOT_FOUND VIDEO_NOT_FOUND"
    assert await undelete(video_id, alice) == "Outcome(code='OK', reason='', rest=())"


async def test_external_ids_belong_to_their_owner(api: Api, alice: Metadata, bob: Metadata) -> None:
    """Neither a conflict nor a search reports what another owner has."""
    for who in (alice, bob):
        request = messages.CreateVideoRequest(
            title="Holiday film", size_bytes=4, external_id="7", labels={"course": "42"}
        )
        await api.stub.CreateVideo(request, metadata=who, timeout=60)

    for filters in ({"external_id": "7"}, {"labels": ["course=42"]}, {"title": "holiday"}):
        found = (await listed(api, bob, **filters)).videos
        assert [video.user_id for video in found] == [BOB]


async def test_batches_report_foreign_videos_as_missing(api: Api, alice: Metadata) -> None:
    mine, other, absent = await api.create(ALICE), await api.create(BOB), str(uuid4())
    for video_id in (mine, other):
        await api.heat(video_id)

    async def missing(*ids: str) -> bytes:
        request = messages.BatchGetVideosRequest(ids=ids)
        answer = await outcome(api.stub.BatchGetVideos(request, metadata=alice, timeout=60))
        assert str(answer) == "NOT_FOUND VIDEO_NOT_FOUND"
        details = dict(answer.rest)["grpc-status-details-bin"]
        assert isinstance(details, bytes)
        return details

    details = await missing(mine, other, absent)
    assert f"{other},{absent}".encode() in details
    assert mine.encode() not in details


async def test_request_ids_belong_to_the_caller(api: Api, alice: Metadata, bob: Metadata) -> None:
    request = messages.CreateVideoRequest(title="Holiday", size_bytes=4, request_id="r1")
    actor = (*caller("service", "write", "act-as"), ("x-gostream-subject", ALICE))

    first = await api.stub.CreateVideo(request, metadata=alice, timeout=60)
    again = await api.stub.CreateVideo(request, metadata=alice, timeout=60)
    others = await api.stub.CreateVideo(request, metadata=bob, timeout=60)
    acting = await outcome(api.stub.CreateVideo(request, metadata=actor, timeout=60))

    assert first.video.id == again.video.id
    assert others.video.id != first.video.id
    assert str(acting) == "INVALID_ARGUMENT REQUEST_ID_REUSED"


async def test_owner_comes_from_the_token(api: Api, alice: Metadata) -> None:
    request = messages.CreateVideoRequest(title="Holiday", size_bytes=4)
    actor = (*caller("service", "write", "act-as"), ("x-gostream-subject", BOB))

    assert (await api.stub.CreateVideo(request, metadata=alice, timeout=60)).video.user_id == ALICE
    assert (await api.stub.CreateVideo(request, metadata=actor, timeout=60)).video.user_id == BOB


async def test_watch_ends_when_its_token_expires(api: Api) -> None:
    video_id, expiry = await api.create(ALICE), int(time.time()) + 4
    call = api.stub.WatchVideo(
        messages.WatchVideoRequest(id=video_id), metadata=caller("alice", "read", exp=expiry), timeout=60
    )

    async def to_the_end() -> None:
        async for _ in call:
            pass

    assert str(await outcome(to_the_end())) == "UNAUTHENTICATED TOKEN_INVALID"
    assert time.time() >= expiry


async def test_expired_token_gets_no_hit(api: Api) -> None:
    video_id, expiry = await api.create(ALICE), int(time.time()) + 3
    await api.heat(video_id)
    request, who = messages.GetVideoRequest(id=video_id), caller("alice", "read", exp=expiry)

    while str(answer := await outcome(api.stub.GetVideo(request, metadata=who, timeout=60))) == "OK":
        await asyncio.sleep(0.05)

    assert str(answer) == "UNAUTHENTICATED TOKEN_INVALID"
    assert time.time() >= expiry


async def test_videos_of_before_get_an_owner(api: Api, database_url: str, alice: Metadata) -> None:
    old = [await api.create("al") for _ in range(3)]
    other = await api.create("bo")
    await api.heat(old[0])
    assert not (await listed(api, alice)).videos

    assert await assign_owner(database_url, "al", ALICE) == 3
    assert await assign_owner(database_url, "al", ALICE) == 0

    assert {video.id for video in (await listed(api, alice)).videos} == set(old)
    request = messages.GetVideoRequest(id=old[0])
    while str(await outcome(api.stub.GetVideo(request, metadata=alice, timeout=60))) != "OK":
        await asyncio.sleep(0.05)  # until L1 follows
    assert (await listed(api, api.admin, user_id="bo")).videos[0].id == other


async def test_rows_name_the_principal_that_created_them(api: Api, database_url: str) -> None:
    video_id = await api.create(ALICE)

    connection = await asyncpg.connect(database_url)
    try:
        row = await connection.fetchrow("SELECT user_id, created_by FROM videos WHERE id = $1", video_id)
    finally:
        await connection.close()
    assert tuple(row or ()) == (ALICE, "corp:root")


async def test_reflection_requires_the_scope_of_admins(start_api: StartApi, alice: Metadata) -> None:
    api = await start_api()
    channel: Any = api.doors["grpc.aio"].channel
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")

    async def reflect(who: Metadata) -> str:
        call = stub.ServerReflectionInfo(iter([request]), metadata=who, timeout=60)

        async def read() -> None:
            async for _ in call:
                return

        return str(await outcome(read()))

    assert await reflect(api.admin) == "OK"
    assert await reflect(alice) == "PERMISSION_DENIED SCOPE_MISSING"
    assert await reflect(()) == "UNAUTHENTICATED TOKEN_INVALID"
