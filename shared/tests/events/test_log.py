"""The event log: what the triggers write, and what a reader sees."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.companions.errors import ResumeTokenExpiredError
from gostream_shared.domain.companions.events import Event, EventFilter, EventPosition

ALL = EventFilter()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[PostgresDatabase]:
    async with PostgresDatabase.open(database_url) as database:
        yield database


async def inserted(database: PostgresDatabase, owner: str = "alice") -> UUID:
    video_id = uuid4()
    await database.pool.execute(
        "INSERT INTO videos (id, user_id, title, content_type) VALUES ($1, $2, 'Film', 'video/mp4')",
        video_id,
        owner,
    )
    return video_id


async def changed(database: PostgresDatabase, video_id: UUID, assignments: str) -> None:
    await database.pool.execute(f"UPDATE videos SET {assignments} WHERE id = $1", video_id)  # noqa: S608


async def settled(database: PostgresDatabase, which: EventFilter = ALL) -> list[Event]:
    """All events, once no older transaction of the server is running."""
    async with asyncio.timeout(300):
        while (page := await database.events.read(which, after=None, limit=1000)).is_unsettled:
            await asyncio.sleep(0.05)
    return list(page.events)


FAILED = """status = 'FAILED', failure =
  '{"code": "SOURCE_EMPTY", "message": "Empty.", "retryable": false, "stage": "probing"}'"""
CHANGES: list[tuple[str, list[str]]] = [
    ("status = 'PROCESSING', encode_number = 1", ["video.uploaded", "video.processing"]),
    ("attempt = 1", []),
    ("playable_number = 1", ["video.playable"]),
    ("title = 'Another'", ["video.updated"]),
    ('labels = \'{"a": "b"}\'', ["video.updated"]),
    ("playback_epoch = 2", ["video.updated"]),
    (FAILED, ["video.failed"]),
    ("status = 'PROCESSING', failure = NULL, encode_number = 2", ["video.processing"]),
    ("status = 'CANCELLED'", ["video.cancelled"]),
    ("attempt = 2", ["video.updated"]),
    ("attempt = 3, title = 'Both'", ["video.updated"]),
    ("deleted_at = now()", ["video.deleted"]),
    ("undelete_until = now()", []),
    ("deleted_at = NULL, undelete_until = NULL", ["video.undeleted"]),
    ("expires_at = now()", ["video.updated"]),
    ("deleted_at = now()", ["video.expired"]),
]


async def test_plain_sql_writes_the_events(database: PostgresDatabase) -> None:
    video_id = await inserted(database)
    expected = [("video.created", 1)]
    for number, (assignments, types) in enumerate(CHANGES):
        await changed(database, video_id, assignments)
        expected += [(type_, number + 2) for type_ in types]

    events = await settled(database)

    assert [(event.type, event.version) for event in events] == expected
    assert {event.video_id for event in events} == {video_id}
    assert len({event.id for event in events}) == len(events)
    failed = next(event for event in events if event.type == "video.failed")
    assert failed.data == {
        "status": "FAILED",
        "previous_status": "PROCESSING",
        "error": {"code": "SOURCE_EMPTY", "message": "Empty."},
    }


async def test_upload_events_change_no_version(database: PostgresDatabase) -> None:
    finished, abandoned = await inserted(database), await inserted(database)
    for video_id, state in ((finished, "COMPLETED"), (abandoned, "EXPIRED")):
        await database.pool.execute(
            """INSERT INTO upload_sessions
              (video_id, generation, store_upload_id, size_bytes, part_size, expires_at)
            VALUES ($1, 1, $2, 9, 9, now())""",
            video_id,
            str(video_id),
        )
        await database.pool.execute(
            "UPDATE upload_sessions SET state = $2 WHERE video_id = $1", video_id, state
        )
    await changed(database, finished, "status = 'PROCESSING', encode_number = 1")

    events = await settled(database)

    found = {
        id_: [(event.type, event.version) for event in events if event.video_id == id_]
        for id_ in (finished, abandoned)
    }
    assert found[abandoned] == [("video.created", 1), ("upload.expired", 1)]
    assert found[finished] == [("video.created", 1), ("video.uploaded", 1), ("video.processing", 2)]


async def test_added_tracks_tell_how_they_end(database: PostgresDatabase) -> None:
    video_id, good, bad = await inserted(database), uuid4(), uuid4()
    for track_id, state in ((good, "READY"), (bad, "FAILED")):
        await database.pool.execute(
            """INSERT INTO added_tracks
              (video_id, id, language, name, is_default, is_forced, is_sdh, state, size_bytes)
            VALUES ($1, $2, 'de', '', false, false, false, 'PREPARING', 9)""",
            video_id,
            track_id,
        )
        await database.pool.execute(
            "UPDATE added_tracks SET state = $2, error_code = $3 WHERE id = $1",
            track_id,
            state,
            "TEXT_BROKEN" if state == "FAILED" else "",
        )

    events = (await settled(database))[1:]

    status = {"status": "PENDING_UPLOAD"}
    assert [(event.type, event.data) for event in events] == [
        ("track.ready", status | {"track_id": str(good)}),
        ("track.failed", status | {"track_id": str(bad), "error": {"code": "TEXT_BROKEN"}}),
    ]


async def test_filters_select_events(database: PostgresDatabase) -> None:
    first, second = await inserted(database), await inserted(database, "bob")
    await changed(database, first, "title = 'Another'")
    everything = await settled(database)

    async def ids(**fields: Any) -> list[UUID]:
        which = EventFilter(**fields)
        found = await settled(database, which)
        assert [event for event in everything if which.admits(event)] == found
        return [event.video_id for event in found]

    assert await ids() == [first, second, first]
    assert await ids(user_id="bob") == [second]
    assert await ids(types=frozenset({"video.updated"})) == [first]
    assert await ids(video_id=first, types=frozenset({"video.created"})) == [first]
    assert await ids(since=everything[1].created_at) == [second, first]
    assert await ids(since=datetime.now(UTC) + timedelta(hours=1)) == []


async def test_events_wait_for_older_transactions(database: PostgresDatabase, database_url: str) -> None:
    older = await asyncpg.connect(database_url)
    transaction = older.transaction()
    await transaction.start()
    await older.fetchval("SELECT pg_current_xact_id()")
    video_id = await inserted(database)

    hidden = await database.events.read(ALL, after=None, limit=10)
    await older.execute(
        "INSERT INTO videos (id, user_id, title, content_type) VALUES ($1, 'bob', 'Film', 'video/mp4')",
        uuid4(),
    )
    await transaction.commit()
    events = await settled(database)

    assert (list(hidden.events), hidden.is_unsettled, hidden.has_more) == ([], True, False)
    assert hidden.end < events[0].position
    assert [event.user_id for event in events] == ["bob", "alice"]
    assert events[1].video_id == video_id
    await older.close()


async def test_deleted_events_expire_earlier_positions(database: PostgresDatabase) -> None:
    for _ in range(5):
        await inserted(database)
    events = await settled(database)
    await database.pool.execute(
        "UPDATE events SET created_at = now() - interval '31 days' WHERE seq <= $1", events[2].position.seq
    )

    assert await database.events.delete_old(older_than=timedelta(days=30), limit=2) == 2
    assert await database.events.delete_old(older_than=timedelta(days=30), limit=2) == 1
    assert await database.events.delete_old(older_than=timedelta(days=30), limit=2) == 0

    assert await settled(database) == events[3:]
    kept = await database.events.read(ALL, after=events[2].position, limit=10)
    assert list(kept.events) == events[3:]
    with pytest.raises(ResumeTokenExpiredError):
        await database.events.read(ALL, after=events[1].position, limit=10)


async def test_position_of_another_cluster_is_refused(database: PostgresDatabase) -> None:
    """A restored dump begins with low transaction ids."""
    with pytest.raises(ResumeTokenExpiredError):
        await database.events.read(ALL, after=EventPosition(2**62, 0), limit=10)


async def test_pages_continue_where_they_ended(database: PostgresDatabase) -> None:
    for _ in range(7):
        await inserted(database)
    events = await settled(database)
    found: list[Event] = []
    position, has_more = None, True
    while has_more:
        page = await database.events.read(ALL, after=position, limit=3)
        found += page.events
        position, has_more = page.end, page.has_more

    assert found == events
    assert position is not None
    assert position > events[-1].position
