"""ListEvents and WatchEvents as clients see them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from gostream.v1.event_pb2 import Event
from gostream.v1.event_service_pb2 import ListEventsRequest, ListEventsResponse, WatchEventsRequest
from gostream.v1.event_service_pb2_grpc import EventServiceStub
from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import DeleteVideoRequest, UpdateVideoRequest
from gostream_api.principal import ANONYMOUS
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.companions.events import EventFilter
from services.api.tests.conftest import Api, Refusal
from services.api.tests.events.conftest import watching

Refused = Callable[[Any], Awaitable[Refusal]]


@pytest.fixture
def stub(api: Api) -> Any:
    return EventServiceStub(api.channel)


async def listed(stub: Any, count: int, **fields: Any) -> list[Event]:
    """The events, once there are so many."""
    async with asyncio.timeout(300):
        while True:
            page: ListEventsResponse = await stub.ListEvents(ListEventsRequest(**fields))
            if len(page.events) >= count:
                return list(page.events)
            await asyncio.sleep(0.02)


async def following(call: Any, count: int) -> list[Event]:
    """The next events of a stream, without the messages that only break its silence."""
    found: list[Event] = []
    async with asyncio.timeout(300):
        while len(found) < count:
            message = await call.read()
            assert message.resume_token
            found += [message] if message.id else []
    return found


async def test_changes_appear_in_the_stream(api: Api, stub: Any) -> None:
    watch = stub.WatchEvents(WatchEventsRequest())
    assert not (await watch.read()).id  # the stream has started

    created = (await api.create(title="Film")).video
    await api.stub.UpdateVideo(UpdateVideoRequest(video=Video(id=created.id, title="Another")))
    first, second = await following(watch, 2)

    assert (first.type, first.video_id, first.version) == ("video.created", created.id, 1)
    assert first.status == Video.STATUS_PENDING_UPLOAD
    assert (second.type, second.version, second.video.title) == ("video.updated", 2, "Another")
    assert abs(second.create_time.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(hours=1)
    watch.cancel()


async def test_token_resumes_after_its_message(api: Api, stub: Any, start_api: Any) -> None:
    ids = [(await api.create()).video.id for _ in range(4)]
    events = await listed(stub, 4)
    other = EventServiceStub((await start_api()).channel)

    for replica in (stub, other):
        watch = replica.WatchEvents(WatchEventsRequest(resume_token=events[1].resume_token))
        assert [event.video_id for event in await following(watch, 2)] == ids[2:]
        watch.cancel()


async def test_since_begins_in_the_past(api: Api, stub: Any) -> None:
    video_id = (await api.create()).video.id
    moment = (await listed(stub, 1))[0].create_time

    watch = stub.WatchEvents(WatchEventsRequest(since=moment, types=["video.created"]))

    assert [event.video_id for event in await following(watch, 1)] == [video_id]
    watch.cancel()


async def test_deleted_videos_are_absent(api: Api, stub: Any) -> None:
    video_id = (await api.create()).video.id
    await api.stub.DeleteVideo(DeleteVideoRequest(id=video_id))

    events = await listed(stub, 2)

    assert [event.type for event in events] == ["video.created", "video.deleted"]
    assert not any(event.HasField("video") for event in events)


async def test_pages_hold_every_event_once(api: Api, stub: Any) -> None:
    ids = [(await api.create()).video.id for _ in range(5)]
    await listed(stub, 5)
    found: list[str] = []
    token = ""
    while True:
        page = await stub.ListEvents(ListEventsRequest(page_size=2, page_token=token))
        found += [event.video_id for event in page.events]
        if not (token := page.next_page_token):
            break

    assert found == ids


async def test_silence_is_broken_with_newer_tokens(database: PostgresDatabase, database_url: str) -> None:
    async with watching(database, database_url, heartbeat=0.05) as watches:
        stream = watches.watch(ANONYMOUS, EventFilter(user_id="nobody"))
        async with aclosing(stream) as messages, asyncio.timeout(300):
            first = await anext(messages)
            await database.pool.execute(
                """INSERT INTO videos (id, user_id, title, content_type)
                VALUES (gen_random_uuid(), 'x', 'x', 'x')"""
            )
            tokens = {first.token}
            while len(tokens) < 2:
                message = await anext(messages)
                assert message.seen is None
                tokens.add(message.token)


async def test_expired_token_is_out_of_range(
    api: Api, stub: Any, database: PostgresDatabase, refused: Refused
) -> None:
    for _ in range(2):
        await api.create()
    events = await listed(stub, 2)
    await database.pool.execute("UPDATE events SET created_at = now() - interval '31 days'")
    await database.events.delete_old(older_than=timedelta(days=30), limit=10)

    watch = stub.WatchEvents(WatchEventsRequest(resume_token=events[0].resume_token))
    refusal = await refused(watch.read())

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.OUT_OF_RANGE, "RESUME_TOKEN_EXPIRED")


HOSTILE = [
    (WatchEventsRequest(resume_token="x" * 10_000), "resume_token"),
    (WatchEventsRequest(resume_token="AAAA"), "resume_token"),
    (WatchEventsRequest(types=["video.ready' OR true --"]), "types"),
    (WatchEventsRequest(types=["video.ready"] * 33), "types"),
    (WatchEventsRequest(user_id="\x00"), "user_id"),
    (WatchEventsRequest(video_id="../1"), "video_id"),
    (ListEventsRequest(page_token="AAAA"), "page_token"),
    (ListEventsRequest(page_size=-1), "page_size"),
]


@pytest.mark.parametrize(("request_", "field"), HOSTILE)
async def test_wrong_fields_are_refused(stub: Any, refused: Refused, request_: Any, field: str) -> None:
    is_watch = isinstance(request_, WatchEventsRequest)
    call = stub.WatchEvents(request_).read() if is_watch else stub.ListEvents(request_)

    refusal = await refused(call)

    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.fields == {field}


async def test_stop_ends_streams(api: Api, stub: Any, refused: Refused) -> None:
    watch = stub.WatchEvents(WatchEventsRequest())
    await watch.read()

    stopping = asyncio.create_task(api.server.stop(delay=timedelta(0), grace=timedelta(seconds=60)))
    refusal = await refused(watch.read())
    await stopping

    assert refusal.reason == "SERVER_STOPPING"
