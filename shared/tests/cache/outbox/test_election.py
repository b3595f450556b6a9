"""One process is elected to announce the outbox; the others announce what it leaves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID, uuid4

import pytest

from gostream_shared.cache.entries.redis_cache import RedisVideoCache
from gostream_shared.cache.outbox.notify import CHANNEL, ElectedListener, listen_to_outbox
from gostream_shared.cache.outbox.relay import PATIENCE, OutboxRelay
from gostream_shared.cache.outbox.unannounced import Unannounced
from gostream_shared.concurrency import in_background
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.repositories import NewVideo
from tests.support.waiting import eventually

pytestmark = pytest.mark.stack


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[PostgresDatabase]:
    async with PostgresDatabase.open(database_url) as database:
        yield database


class Local:
    """L1 of no process."""

    def changed(self, video_id: UUID, version: int) -> None: ...

    def unannounced(self) -> None: ...


async def create(database: PostgresDatabase) -> UUID:
    new = NewVideo(id=uuid4(), user_id="u", title="t", content_type="video/mp4")
    return (await database.videos.create(new)).id


async def is_announced(database: PostgresDatabase) -> bool:
    return not await database.pool.fetchval("SELECT count(*) FROM cache_outbox")


def follower_of(database: PostgresDatabase, cache: RedisVideoCache, **options: Any) -> OutboxRelay:
    return OutboxRelay(
        database.outbox,
        cache,
        listener=asyncio.sleep,
        unannounced=Unannounced(),
        local=Local(),
        is_elected=lambda: False,
        **options,
    )


async def test_one_of_many_processes_listens(database: PostgresDatabase, database_url: str) -> None:
    async with AsyncExitStack() as stack:
        listeners = [
            await stack.enter_async_context(listen_to_outbox(database_url, database.outbox)) for _ in range(5)
        ]
        await eventually(lambda: sum(listener.is_elected for listener in listeners) == 1)
        await eventually(database.outbox.has_relay)
        connections = await database.pool.fetchval(
            """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"""
        )
        assert connections == 1
        assert sum(listener.is_elected for listener in listeners) == 1

    async def nobody() -> bool:
        return not await database.outbox.has_relay()

    await eventually(nobody)  # the server ends a closed connection a moment later


async def test_another_process_follows_the_elected(database: PostgresDatabase, database_url: str) -> None:
    async with AsyncExitStack() as first, listen_to_outbox(database_url, database.outbox) as one:
        await eventually(lambda: one.is_elected)
        other = await first.enter_async_context(listen_to_outbox(database_url, database.outbox))
        await database.pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        )
        await eventually(lambda: not one.is_elected)
        await eventually(lambda: one.is_elected or other.is_elected)


async def test_elected_process_is_notified(database: PostgresDatabase, database_url: str) -> None:
    async with listen_to_outbox(database_url, database.outbox) as listener:
        await eventually(lambda: listener.is_elected)
        await listener(300)  # the election itself
        waiting = asyncio.create_task(listener(300))
        await database.pool.execute(f"NOTIFY {CHANNEL}")
        await waiting


async def test_listener_without_election_waits_out_its_time() -> None:
    await ElectedListener()(0.01)


async def test_others_leave_new_rows_to_the_elected(
    database: PostgresDatabase, cache: RedisVideoCache
) -> None:
    now = 100.0
    relay = follower_of(database, cache, clock=lambda: now)
    await create(database)

    assert await relay.relay_once() is False
    assert not await is_announced(database), "the elected one has time"
    now += PATIENCE
    assert await relay.relay_once() is True
    assert await is_announced(database), "the elected one may be frozen"


async def test_rows_of_a_hot_video_are_not_left(database: PostgresDatabase, cache: RedisVideoCache) -> None:
    """A video with a new row at each look is as old as its first row."""
    now = 100.0
    relay = follower_of(database, cache, clock=lambda: now)
    await create(database)
    for _ in range(3):
        await relay.relay_once()
        await database.pool.execute("UPDATE videos SET title = title")
        now += PATIENCE / 2
    assert await relay.relay_once() is True


async def test_frozen_elected_process_delays_nothing_for_long(
    database: PostgresDatabase, database_url: str, cache: RedisVideoCache
) -> None:
    """The elected process holds its lock and does nothing."""
    async with (
        listen_to_outbox(database_url, database.outbox) as frozen,
        in_background(follower_of(database, cache).run()),
    ):
        await eventually(lambda: frozen.is_elected)
        await create(database)
        await eventually(lambda: is_announced(database))
        assert frozen.is_elected
