"""PostgreSQL and Redis by TLS: the certificate is checked, and a renewed authority is read."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from redis.exceptions import ConnectionError

from gostream_devstack.fixtures import RedisSettings
from gostream_devstack.servers.postgres import Postgres
from gostream_devstack.servers.tls_front import TlsFront
from gostream_devstack.servers.valkey import Valkey
from gostream_devstack.tls.certificates import Certificates
from gostream_shared.cache.driver.client import redis_client
from gostream_shared.config import Config, load
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.errors import BackendRefusedError, BackendUnavailableError
from tests.support.certificates import replace

Front = Callable[..., TlsFront]


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The file of an authority that issued no server's certificate."""
    path = tmp_path / "other.crt"
    replace(path, trustme.CA().cert_pem.bytes())
    return path


def secured(url: str, server: Postgres, front: TlsFront, authority: Path) -> str:
    address = url.replace(f":{server.port}/", f":{front.port}/")
    return f"{address}?sslmode=verify-full&sslrootcert={authority}"


async def test_database_is_reached_by_tls(
    database_url: str, postgres_server: Postgres, make_tls_front: Front, certificates: Certificates
) -> None:
    front = make_tls_front(postgres_server, "postgres")

    url = secured(database_url, postgres_server, front, certificates.authority)
    async with PostgresDatabase.open(url) as database:
        assert await database.missing_migrations() == []


async def test_database_of_another_authority_is_refused(
    database_url: str, postgres_server: Postgres, make_tls_front: Front, other: Path
) -> None:
    front = make_tls_front(postgres_server, "postgres")

    with pytest.raises((BackendRefusedError, BackendUnavailableError)) as caught:
        async with PostgresDatabase.open(secured(database_url, postgres_server, front, other)):
            pass
    assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value.cause)


async def test_database_without_tls_is_refused(
    database_url: str, postgres_server: Postgres, certificates: Certificates
) -> None:
    url = f"{database_url}?sslmode=verify-full&sslrootcert={certificates.authority}"

    with pytest.raises((BackendRefusedError, BackendUnavailableError)):
        async with PostgresDatabase.open(url):
            pass


def settings(redis: RedisSettings, front: TlsFront, authority: Path) -> Config:
    return load(
        Config,
        {
            "DATABASE_URL": "postgresql://localhost/unused",
            "REDIS_HOST": redis.host,
            "REDIS_PORT": str(front.port),
            "REDIS_USERNAME": "default",
            "REDIS_PASSWORD": redis.password,
            "REDIS_TLS": "true",
            "REDIS_CA_FILE": str(authority),
        },
    )


async def test_redis_is_reached_by_tls(
    redis_settings: RedisSettings, redis_server: Valkey, make_tls_front: Front, certificates: Certificates
) -> None:
    config = settings(redis_settings, make_tls_front(redis_server), certificates.authority)

    async with redis_client(config) as client:
        assert await client.ping()


async def test_redis_of_another_authority_is_refused(
    redis_settings: RedisSettings,
    redis_server: Valkey,
    make_tls_front: Front,
    certificates: Certificates,
    other: Path,
) -> None:
    config = settings(redis_settings, make_tls_front(redis_server), other)

    async with redis_client(config) as client:
        with pytest.raises(ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.ping()
        # The file of the authority is replaced while the client is open.
        replace(other, certificates.authority.read_bytes())
        assert await client.ping()


async def test_redis_user_needs_its_name(
    redis_settings: RedisSettings, redis_server: Valkey, make_tls_front: Front, certificates: Certificates
) -> None:
    redis_server.execute("ACL", "SETUSER", "app", "on", f">{redis_settings.password}", "~*", "+@all")
    config = settings(redis_settings, make_tls_front(redis_server), certificates.authority)
    named = config.model_copy(update={"redis_username": type(config.redis_username)("app")})

    async with redis_client(named) as client:
        assert await client.acl_whoami() == "app"
    redis_server.execute("ACL", "DELUSER", "app")
