"""What owners use, as the triggers count it on a real PostgreSQL."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID, uuid4

import asyncpg
import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.db.migrate import assign_owner, migrations, recount_usage
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.errors import GoStreamError
from gostream_shared.domain.jobs import RemoveJob
from gostream_shared.domain.quotas import SOURCE, Quota
from gostream_shared.domain.repositories import NewVideo
from shared.tests.test_videos import FAILURE, PUBLICATION

pytestmark = pytest.mark.stack
NOTHING = (0, 0, 0)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[PostgresDatabase]:
    async with PostgresDatabase.open(database_url) as database:
        yield database


async def usage(database: PostgresDatabase, owner: str = "ann") -> tuple[int, ...]:
    """Videos, stored bytes and encodes of the owner."""
    row = await database.pool.fetchrow(
        "SELECT videos, stored_bytes, encodes FROM owner_usage WHERE owner = $1", owner
    )
    return tuple(row) if row else NOTHING


async def truth(database: PostgresDatabase) -> dict[str, tuple[int, ...]]:
    """The same of every owner with videos, counted."""
    rows = await database.pool.fetch(
        """SELECT user_id, count(*) FILTER (WHERE deleted_at IS NULL) AS videos,
          (SELECT coalesce(sum(bytes), 0)::bigint FROM stored_bytes WHERE owner = user_id) AS bytes,
          count(*) FILTER (WHERE deleted_at IS NULL AND status = 'PROCESSING') AS encodes
        FROM videos GROUP BY user_id"""
    )
    return {row["user_id"]: (row["videos"], row["bytes"], row["encodes"]) for row in rows}


async def created(database: PostgresDatabase, owner: str = "ann", size: int | None = 100) -> UUID:
    new = NewVideo(id=uuid4(), user_id=owner, title="Holiday", content_type="video/mp4", size_bytes=size)
    return (await database.videos.create(new)).id


async def started(database: PostgresDatabase, video_id: UUID) -> Encode:
    encode = await database.encodes.start_encode(video_id, profile="default")
    assert encode is not None
    return await database.encodes.begin_attempt(video_id, encode.number, worker="w")


async def test_usage_follows_a_video_to_its_end(database: PostgresDatabase) -> None:
    video_id = await created(database)
    assert await usage(database) == (1, 100, 0)

    encode = await started(database, video_id)
    assert await usage(database) == (1, 100, 1)

    async with database.transaction() as transaction:
        await transaction.encodes.mark_video_ready(encode, PUBLICATION)
        await transaction.usages.note_stored(video_id, encode.number, 1000)
    assert await usage(database) == (1, 1100, 0)

    await database.videos.delete(video_id)
    assert await usage(database) == (0, 1100, 0)  # the objects still exist

    await database.usages.forget_stored(video_id, encode.number)
    assert await usage(database) == (0, 100, 0)
    await database.usages.forget_stored(video_id)
    await database.usages.forget_stored(video_id)
    assert await usage(database) == NOTHING


async def test_failed_and_cancelled_encodes_are_not_counted(database: PostgresDatabase) -> None:
    failing, cancelled, deleted = [await created(database) for _ in range(3)]
    for video_id in (cancelled, deleted):
        await started(database, video_id)
    await database.encodes.mark_video_failed(await started(database, failing), FAILURE)
    await database.encodes.cancel(cancelled)
    await database.videos.delete(deleted)

    assert await usage(database) == (2, 300, 0)


async def test_sizes_are_replaced_and_not_added(database: PostgresDatabase) -> None:
    video_id = await created(database, size=None)
    assert await usage(database) == (1, 0, 0)

    for size in (70, 50, 50):
        await database.usages.note_stored(video_id, SOURCE, size)

    assert await usage(database) == (1, 50, 0)


async def test_new_owner_gets_the_whole_usage(database: PostgresDatabase, database_url: str) -> None:
    await started(database, await created(database))
    await created(database, "")

    await assign_owner(database_url, "ann", "bob")
    await assign_owner(database_url, "", "bob")

    assert await usage(database) == NOTHING
    assert await usage(database, "bob") == (2, 200, 1)


async def test_owners_are_locked_by_name(database: PostgresDatabase) -> None:
    """So opposite moves do not end in a deadlock."""
    video_id = await created(database)
    await created(database, "bob")
    move = "UPDATE videos SET user_id = $2 WHERE id = $1"
    waiting = """SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database()"""
    for owner in ("bob", "ann") * 3:
        async with database.pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT FROM owner_usage WHERE owner = 'ann' FOR UPDATE")
            moving = asyncio.create_task(database.pool.execute(move, video_id, owner))
            async with asyncio.timeout(120):
                while not await database.pool.fetchval(waiting):
                    await asyncio.sleep(0.02)
            await connection.execute("SELECT FROM owner_usage WHERE owner = 'bob' FOR UPDATE NOWAIT")
        await moving


async def test_update_in_psql_is_counted(database: PostgresDatabase) -> None:
    video_id = await created(database)

    await database.pool.execute("UPDATE videos SET deleted_at = now() WHERE id = $1", video_id)
    assert await usage(database) == (0, 100, 0)
    await database.pool.execute("UPDATE videos SET deleted_at = NULL WHERE id = $1", video_id)
    assert await usage(database) == (1, 100, 0)
    await database.pool.execute("DELETE FROM videos WHERE id = $1", video_id)

    assert await usage(database) == NOTHING


async def test_videos_of_nobody_are_not_counted(database: PostgresDatabase) -> None:
    await started(database, await created(database, ""))

    assert await database.pool.fetchval("SELECT count(*) FROM owner_usage") == 0


async def test_lost_transaction_leaves_the_usage(database: PostgresDatabase, database_url: str) -> None:
    await created(database)
    with suppress(GoStreamError, asyncpg.PostgresError):
        async with database.transaction() as transaction:
            new = NewVideo(id=uuid4(), user_id="ann", title="x", content_type="video/mp4", size_bytes=7)
            await transaction.videos.create(new)
            assert (await transaction.usages.locked("ann")).used[Quota.VIDEOS] == 2
            other = await asyncpg.connect(database_url)
            await other.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE state = 'idle in transaction' AND datname = current_database()"""
            )
            await other.close()

    assert await usage(database) == (1, 100, 0)


async def _change(database: PostgresDatabase, chance: random.Random, videos: list[UUID]) -> None:
    """One random write; many of them fail, as they do in operation."""
    video_id = chance.choice(videos)
    kind = chance.randrange(7)
    if kind == 0:
        videos.append(await created(database, chance.choice(("ann", "bob", "")), chance.choice((None, 10))))
    elif kind == 1:
        await database.encodes.start_encode(video_id, profile="default")
    elif kind == 2:
        video = await database.videos.get(video_id)
        encode = await database.encodes.begin_attempt(video_id, video.encode_number, worker="w")
        async with database.transaction() as transaction:
            await transaction.encodes.mark_video_ready(encode, PUBLICATION)
            await transaction.usages.note_stored(video_id, encode.number, chance.randrange(1000))
    elif kind == 3:
        await database.encodes.cancel(video_id)
    elif kind == 4:
        await database.videos.delete(video_id)
    elif kind == 5:
        await database.usages.forget_stored(video_id, chance.choice((None, 1)))
    else:
        owner = chance.choice(("ann", "bob"))
        await database.pool.execute("UPDATE videos SET user_id = $2 WHERE id = $1", video_id, owner)


@pytest.mark.parametrize("seed", range(3))
async def test_concurrent_writes_are_counted_exactly(
    database: PostgresDatabase, database_url: str, seed: int
) -> None:
    videos = [await created(database, owner) for owner in ("ann", "bob", "")]

    async def write(number: int) -> None:
        chance = random.Random(f"{seed}-{number}")
        for _ in range(40):
            with suppress(GoStreamError):
                await _change(database, chance, videos)

    async with asyncio.TaskGroup() as writers:
        for number in range(6):
            writers.create_task(write(number))
        writers.create_task(recount_usage(database_url))  # must not make a row wrong

    for owner, counted in (await truth(database)).items():
        assert await usage(database, owner) == (counted if owner else NOTHING)


async def test_recount_mends_wrong_rows(database: PostgresDatabase, database_url: str) -> None:
    await started(database, await created(database))
    await created(database, "bob")
    await database.pool.execute("UPDATE owner_usage SET videos = -7, encodes = 9 WHERE owner = 'ann'")
    await database.pool.execute("DELETE FROM owner_usage WHERE owner = 'bob'")

    assert await recount_usage(database_url) == 2

    assert await usage(database) == (1, 100, 1)
    assert await usage(database, "bob") == (1, 100, 0)
    assert await recount_usage(database_url) == 0


async def test_recount_knows_what_old_workers_did(database: PostgresDatabase, database_url: str) -> None:
    published, deleted, removing = [await created(database) for _ in range(3)]
    await database.encodes.mark_video_ready(await started(database, published), PUBLICATION)
    await database.usages.note_stored(published, 7, 5000)  # of a superseded encode
    for video_id in (deleted, removing):
        await database.videos.delete(video_id)
    async with database.transaction() as transaction:
        await transaction.jobs.enqueue(RemoveJob(video_id=removing))

    assert await recount_usage(database_url) == 1

    [rendition] = PUBLICATION.renditions
    encoded = round(rendition.average_bandwidth * PUBLICATION.duration.total_seconds() / 8)
    assert await usage(database) == (1, 100 + encoded + 100, 0)
    assert await recount_usage(database_url) == 0


async def test_limit_of_an_owner_is_an_exception(database: PostgresDatabase) -> None:
    await created(database)
    await database.pool.execute("INSERT INTO owner_limits (owner, videos, encodes) VALUES ('ann', 5, 0)")

    async with database.transaction() as transaction:
        found = await transaction.usages.locked("ann")
        nobody = await transaction.usages.locked("nobody")

    assert found.used == {Quota.VIDEOS: 1, Quota.STORED_BYTES: 100, Quota.ENCODES: 0}
    assert found.limits == {Quota.VIDEOS: 5, Quota.ENCODES: 0}
    assert (nobody.used, nobody.limits) == ({}, {})


async def test_migration_counts_the_videos_of_before(database_url: str) -> None:
    files = migrations()
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    for name in sorted(name for name in files if name < "0011"):
        await connection.execute(files[name])
    publication = (
        """{"duration": "PT1M20S", "renditions": [{"average_bandwidth": 800}, {"average_bandwidth": 8000}]}"""
    )
    await connection.execute(
        """INSERT INTO videos
          (id, user_id, title, content_type, size_bytes, status, encode_number, published_number, publication)
        VALUES
          (gen_random_uuid(), 'ann', 't', 'video/mp4', 100, 'READY', 1, 1, $1),
          (gen_random_uuid(), 'ann', 't', 'video/mp4', NULL, 'PROCESSING', 1, NULL, NULL),
          (gen_random_uuid(), '', 't', 'video/mp4', 5, 'PENDING_UPLOAD', 0, NULL, NULL)""",
        publication,
    )
    await connection.execute("UPDATE videos SET deleted_at = now() WHERE user_id = ''")

    async with connection.transaction():
        await connection.execute(files["0011_usage.sql"])

    rows = await connection.fetch("SELECT owner, videos, stored_bytes, encodes FROM owner_usage")
    await connection.close()
    assert [tuple(row) for row in rows] == [("ann", 2, 100 + 80 * 8800 // 8, 1)]
