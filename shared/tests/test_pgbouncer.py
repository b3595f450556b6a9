"""The database behind PgBouncer in transaction mode: each transaction has another server connection."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from uuid import uuid4

import asyncpg
import pytest

from gostream_devstack.servers.postgresql.pgbouncer import PgBouncer
from gostream_shared.concurrency import in_background
from gostream_shared.config import Config, load
from gostream_shared.db.connecting.address import DatabaseAddress
from gostream_shared.db.connecting.pool import transaction
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.db.listen import keep_listening
from gostream_shared.domain.errors import BackendRefusedError, BackendUnavailableError
from gostream_shared.domain.repositories import NewVideo
from gostream_shared.domain.videos.listing import VideoFilter


@pytest.fixture
async def database(pooled_settings: Mapping[str, str]) -> AsyncIterator[PostgresDatabase]:
    async with PostgresDatabase.open(DatabaseAddress.of(load(Config, pooled_settings))) as database:
        yield database


def new_video() -> NewVideo:
    return NewVideo(id=uuid4(), user_id="ann", title="Holiday", content_type="video/mp4")


async def test_statements_work_on_changing_server_connections(database: PostgresDatabase) -> None:
    servers = set[int]()

    async def work() -> None:
        for _ in range(20):
            created = await database.videos.create(new_video())
            assert (await database.videos.get(created.id)).version == 1
            assert await database.videos.list_page(VideoFilter(labels=("a",)), limit=2, after=None) == []
            async with database.transaction() as changes:
                assert await changes.encodes.count_waiting(at_most=1) == 0
            servers.add(await database.pool.fetchval("SELECT pg_backend_pid()"))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(work())
    assert len(servers) > 1, "the pooler changes the server connection"


async def test_pooler_without_its_variable_is_refused(pooled_settings: Mapping[str, str]) -> None:
    with pytest.raises(BackendRefusedError) as failed:
        async with PostgresDatabase.open(pooled_settings["DATABASE_URL"]):
            pass
    assert "unsupported startup parameter: idle_in_transaction_session_timeout" in str(failed.value.cause)
    assert "set DATABASE_POOLED=yes" in str(failed.value.cause)


async def test_idle_transaction_is_limited(database: PostgresDatabase) -> None:
    async with transaction(database.pool) as connection:
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "30s"
    assert await database.pool.fetchval("SHOW idle_in_transaction_session_timeout") == "0", (
        "the setting ends with the transaction: the server connection belongs to others too"
    )


async def test_notifications_come_from_the_direct_address(database: PostgresDatabase) -> None:
    heard, connected = asyncio.Queue[str](), asyncio.Event()
    async with in_background(
        keep_listening(
            database.address.direct_url,
            "gostream_changes",
            notified=heard.put_nowait,
            connected=connected.set,
        )
    ):
        await connected.wait()
        created = await database.videos.create(new_video())
        async with asyncio.timeout(300):
            assert str(created.id) in await heard.get()


async def test_pooler_that_restarts_is_found_again(
    database: PostgresDatabase, pgbouncer_server: PgBouncer
) -> None:
    await database.videos.create(new_video())
    await asyncio.to_thread(pgbouncer_server.kill)
    with pytest.raises(BackendUnavailableError):
        await database.videos.create(new_video())
    await asyncio.to_thread(pgbouncer_server.start)
    assert (await database.videos.create(new_video())).version == 1


def migrate(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gostream_shared.db.migrate", "status", *arguments],
        env={"PATH": os.defpath, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_migrations_need_the_direct_address(pooled_settings: Mapping[str, str]) -> None:
    refused = migrate(DATABASE_URL=pooled_settings["DATABASE_URL"], DATABASE_POOLED="yes")

    assert refused.returncode == 2
    assert "set DATABASE_DIRECT_URL" in refused.stderr
    assert migrate(**pooled_settings).stdout == "up to date\n"


async def test_named_statements_do_not_survive_a_pooler(pooled_settings: Mapping[str, str]) -> None:
    """Why `statement_cache_size` is 0: with a cache, statements are missing on other server connections."""
    async with asyncpg.create_pool(pooled_settings["DATABASE_URL"], min_size=8, max_size=8) as pool:

        async def work() -> None:
            for number in range(40):
                await pool.fetchval(f"SELECT {number % 5} + pg_backend_pid()")

        with pytest.raises(BaseExceptionGroup) as failed:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(8):
                    tasks.create_task(work())
    kinds = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
    assert failed.value.subgroup(kinds)
