"""The outbox relay and the announcer on real servers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from gostream_shared.cache.entries.redis_cache import RedisVideoCache, video_key
from gostream_shared.cache.outbox.announcer import RedisChangeAnnouncer
from gostream_shared.cache.outbox.notify import listen_to_outbox
from gostream_shared.cache.outbox.relay import NotifyListener, OutboxRelay
from gostream_shared.cache.outbox.unannounced import Unannounced
from gostream_shared.cache.protocol import CacheUnavailableError, Entry, Fill, Filled, Hit, Lease
from gostream_shared.cache.redis_connection import RedisConnection
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.repositories import NewVideo
from tests.support.waiting import eventually

pytestmark = pytest.mark.stack


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[PostgresDatabase]:
    async with PostgresDatabase.open(database_url) as database:
        yield database


async def create(database: PostgresDatabase) -> UUID:
    new = NewVideo(id=uuid4(), user_id="u", title="t", content_type="video/mp4")
    return (await database.videos.create(new)).id


async def outbox_rows(database: PostgresDatabase) -> int:
    return int(await database.pool.fetchval("SELECT count(*) FROM cache_outbox"))


async def floor(link: RedisConnection, video_id: UUID) -> int:
    return int(await link.client.hget(video_key(video_id), "floor") or 0)


async def floor_reached(link: RedisConnection, video_id: UUID, version: int) -> bool:
    return await floor(link, video_id) >= version


async def silent_listener(timeout: float) -> None:
    await asyncio.sleep(timeout)


class Local:
    """Records the relay's local notifications."""

    def __init__(self) -> None:
        self.dropped: list[tuple[UUID, int]] = []
        self.resets = 0

    def changed(self, video_id: UUID, version: int) -> None:
        self.dropped.append((video_id, version))

    def unannounced(self) -> None:
        self.resets += 1


def relay_of(
    database: PostgresDatabase,
    cache: RedisVideoCache,
    listener: NotifyListener = silent_listener,
    unannounced: Unannounced | None = None,
    local: Local | None = None,
) -> OutboxRelay:
    return OutboxRelay(
        database.outbox,
        cache,
        listener=listener,
        unannounced=unannounced or Unannounced(),
        local=local or Local(),
    )


async def test_update_by_psql_is_announced_within_a_second(
    database: PostgresDatabase, database_url: str, cache: RedisVideoCache, link: RedisConnection
) -> None:  # R24
    video_id = await create(database)
    async with listen_to_outbox(database_url, database.outbox) as listener:
        relaying = asyncio.create_task(relay_of(database, cache, listener).run())
        await database.pool.execute("UPDATE videos SET title = 'by hand'")
        await eventually(lambda: floor_reached(link, video_id, 2))
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)


async def test_many_updates_of_one_video_are_one_message(
    database: PostgresDatabase, cache: RedisVideoCache, link: RedisConnection
) -> None:  # R25
    video_id = await create(database)
    for _ in range(50):
        await database.pool.execute("UPDATE videos SET title = title")
    async with link.client.pubsub() as pubsub:
        await pubsub.subscribe("gostream:0:changes")
        await pubsub.get_message(timeout=5)
        assert await relay_of(database, cache).relay_once()
        message = await pubsub.get_message(timeout=5)
        assert message["data"].decode().endswith(f"|{video_id}|51")
        assert await pubsub.get_message(timeout=0.2) is None
    assert await outbox_rows(database) == 0


async def test_rows_are_relayed_after_a_redis_outage(
    database: PostgresDatabase, redis_server: Any, cache: RedisVideoCache, link: RedisConnection
) -> None:
    video_id = await create(database)
    announcer = RedisChangeAnnouncer(
        cache, database.outbox, unannounced=Unannounced(), locally=lambda *_: None
    )
    await asyncio.to_thread(redis_server.kill)
    await announcer.announce(video_id, 1)
    relaying = asyncio.create_task(relay_of(database, cache).run())
    await asyncio.sleep(0.3)
    assert await outbox_rows(database) == 1
    await asyncio.to_thread(redis_server.start)
    await eventually(lambda: floor_reached(link, video_id, 1))
    relaying.cancel()
    await asyncio.gather(relaying, return_exceptions=True)


async def test_transactions_committed_out_of_order_are_all_relayed(
    database: PostgresDatabase, cache: RedisVideoCache, link: RedisConnection
) -> None:  # R7
    first, second = await create(database), await create(database)
    relay = relay_of(database, cache)
    async with database.pool.acquire() as late, database.pool.acquire() as early:
        slow, quick = late.transaction(), early.transaction()
        await slow.start()
        await late.execute("UPDATE videos SET title = 'late' WHERE id = $1", first)
        await quick.start()
        await early.execute("UPDATE videos SET title = 'early' WHERE id = $1", second)
        await quick.commit()
        await relay.relay_once()
        assert (await floor(link, first), await floor(link, second)) == (1, 2)
        await slow.commit()
    await relay.relay_once()
    assert await floor(link, first) == 2


async def test_announcement_invalidates_locally_and_in_redis(
    database: PostgresDatabase, cache: RedisVideoCache
) -> None:
    video_id = await create(database)
    told: list[tuple[UUID, int]] = []
    leased = await cache.get_or_lease(video_id)
    assert isinstance(leased, Lease)
    video = await database.videos.get(video_id)
    assert await cache.fill(video_id, Fill(leased.token, Entry(1, video))) is Filled.OK
    assert isinstance(await cache.get_or_lease(video_id), Hit)
    await database.videos.delete(video_id)
    announcer = RedisChangeAnnouncer(
        cache, database.outbox, unannounced=Unannounced(), locally=lambda *news: told.append(news)
    )
    await announcer.announce(video_id, 2)
    assert told == [(video_id, 2)]
    assert isinstance(await cache.get_or_lease(video_id), Lease)
    assert await outbox_rows(database) == 0


async def test_refused_change_sets_a_floor_until_announced(
    database: PostgresDatabase, redis_server: Any, cache: RedisVideoCache
) -> None:
    video_id, unannounced, local = await create(database), Unannounced(), Local()
    relay = relay_of(database, cache, unannounced=unannounced, local=local)
    redis_server.execute("CONFIG", "SET", "min-replicas-to-write", "1")
    try:
        with pytest.raises(CacheUnavailableError):
            await relay.relay_once()
        assert unannounced.floor(video_id) == 1
        assert local.dropped == [(video_id, 1)]
    finally:
        redis_server.execute("CONFIG", "SET", "min-replicas-to-write", "0")
    while await relay.relay_once():
        pass
    assert unannounced.floor(video_id) == 0
    assert local.dropped == [(video_id, 1)]


async def test_rows_claimed_by_another_relay_set_floors(
    database: PostgresDatabase, cache: RedisVideoCache
) -> None:
    video_id, unannounced = await create(database), Unannounced()
    async with database.outbox.claim(10):
        await relay_of(database, cache, unannounced=unannounced).relay_once()
        assert unannounced.floor(video_id) == 1


async def test_unsettled_returns_the_highest_version_per_video(database: PostgresDatabase) -> None:
    videos = [await create(database) for _ in range(3)]
    await database.pool.execute("UPDATE videos SET title = title")
    assert await database.outbox.unsettled(3) == dict.fromkeys(videos, 2)
    assert await database.outbox.unsettled(2) is None
