"""gostream-migrate on a real PostgreSQL."""

import asyncio
from urllib.parse import urlsplit

import asyncpg
import pytest

from gostream_devstack.servers.postgres import Postgres
from gostream_shared.db.migrate import migrate, migrations, pending


@pytest.fixture
async def empty_database_url(database_url: str) -> str:
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
    return database_url


async def test_empty_database_gets_all_migrations_and_the_queue(empty_database_url: str) -> None:
    assert await pending(empty_database_url) == sorted(migrations())

    assert await migrate(empty_database_url) == [*migrations(), "pgqueuer"]

    assert await pending(empty_database_url) == []
    assert await migrate(empty_database_url) == []


async def test_concurrent_migrators_apply_each_migration_once(empty_database_url: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_database_url) for _ in range(5)))

    assert sorted(name for names in applied for name in names) == sorted([*migrations(), "pgqueuer"])


async def test_failed_migration_is_rolled_back(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {**migrations(), "9999_broken.sql": "CREATE TABLE half (id int); SELECT no_such_column"}
    monkeypatch.setattr("gostream_shared.db.migrate.migrations", lambda: broken)

    with pytest.raises(asyncpg.UndefinedColumnError):
        await migrate(empty_database_url)

    assert await pending(empty_database_url) == ["9999_broken.sql"]
    connection = await asyncpg.connect(empty_database_url)
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    await connection.close()


async def test_missing_right_to_an_extension_is_explained(
    empty_database_url: str, postgres_server: Postgres
) -> None:
    name = urlsplit(empty_database_url).path[1:]
    postgres_server.execute(f"ALTER DATABASE {name} OWNER TO postgres")

    with pytest.raises(asyncpg.PostgresError) as caught:
        await migrate(empty_database_url)

    assert "permission denied" in str(caught.value)
    assert "Let an administrator run CREATE EXTENSION pg_trgm" in str(caught.value)
    assert "0015_listing_indexes.sql" in await pending(empty_database_url)
    postgres_server.execute("CREATE EXTENSION pg_trgm", name)
    assert "0015_listing_indexes.sql" in await migrate(empty_database_url)
