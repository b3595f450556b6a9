"""Fixtures of databases: a primary with its standby, and PgBouncer if the run has `--pgbouncer`."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.servers.postgres import DATABASE, ROLE, Postgres
from gostream_devstack.servers.postgresql.pgbouncer import PgBouncer
from gostream_devstack.servers.postgresql.standby import Standby


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--pgbouncer", action="store_true", help="put PgBouncer between the services and PostgreSQL"
    )


@pytest.fixture(scope="session")
def pgbouncer_server(
    _server_directories: Directories, _server_ports: Ports, postgres_server: Postgres
) -> Iterator[PgBouncer]:
    """A running PgBouncer in transaction mode before the session's PostgreSQL (`.url_of(database)`)."""
    server = PgBouncer(_server_directories, postgres_server, _server_ports.pick("pgbouncer"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def pooled_settings(database_url: str, pgbouncer_server: PgBouncer) -> Mapping[str, str]:
    """The variables of a service behind PgBouncer, for the database of this test."""
    if not pgbouncer_server.alive:
        pgbouncer_server.start()
    name = database_url.rpartition("/")[2]
    pgbouncer_server.wait_for(name)  # after a test that stopped PostgreSQL
    return {
        "DATABASE_URL": pgbouncer_server.url_of(name),
        "DATABASE_DIRECT_URL": database_url,
        "DATABASE_POOLED": "yes",
    }


@pytest.fixture
def database_settings(request: pytest.FixtureRequest, database_url: str) -> Mapping[str, str]:
    """The variables of the database of this test: direct, or behind PgBouncer with `--pgbouncer`."""
    is_direct = request.node.get_closest_marker("direct_database")
    if request.config.getoption("--pgbouncer") and not is_direct:
        settings: Mapping[str, str] = request.getfixturevalue("pooled_settings")
        return settings
    return {"DATABASE_URL": database_url}


@dataclass(frozen=True, slots=True)
class Pair:
    """A primary and its standby. A commit waits until the standby has it."""

    primary: Postgres
    standby: Standby

    @property
    def url(self) -> str:
        """The URL with both hosts; the standby comes first."""
        return self.url_of(self.standby, self.primary)

    def url_of(self, *servers: Postgres) -> str:
        """The URL with these hosts, in this order."""
        account = f"{ROLE}:{self.primary.password}"
        return f"postgresql://{account}@{','.join(f'{each.host}:{each.port}' for each in servers)}/{DATABASE}"

    def keep(self, server: Postgres) -> None:
        """Make the server's commits wait for the other one."""
        server.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        server.execute("SELECT pg_reload_conf()")


@contextmanager
def _running_pair(directories: Directories, ports: Ports) -> Iterator[Pair]:
    first, second = (ports.pick(f"pair-{secrets.token_hex(4)}") for _ in range(2))
    primary = Postgres(directories, first, "replicated", name=f"primary-{first}")
    standby = Standby(directories, primary, second, f"standby-{second}")
    try:
        primary.start()
        standby.start()
        pair = Pair(primary, standby)
        pair.keep(primary)
        yield pair
    finally:
        standby.stop()
        primary.stop()


@pytest.fixture(scope="session")
def pair(_server_directories: Directories, _server_ports: Ports) -> Iterator[Pair]:
    """A primary and its standby. Shared by the session: do not promote the standby."""
    with _running_pair(_server_directories, _server_ports) as running:
        yield running


@pytest.fixture
def fresh_pair(_server_directories: Directories, _server_ports: Ports) -> Iterator[Pair]:
    """A primary and its standby for this test alone."""
    with _running_pair(_server_directories, _server_ports) as running:
        yield running
