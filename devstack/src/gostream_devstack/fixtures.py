"""Pytest fixtures: real servers for tests, provided through the `pytest11` entry point.

Each pytest session has a directory, free ports and servers. Fixtures import heavy modules themselves.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gostream_devstack.host.directories import Directories
    from gostream_devstack.host.issuer import TokenIssuer
    from gostream_devstack.host.ports import Ports
    from gostream_devstack.host.state import State
    from gostream_devstack.instance.stack import Stack
    from gostream_devstack.servers.postgres import Postgres
    from gostream_devstack.servers.seaweedfs import SeaweedFS
    from gostream_devstack.servers.server import Server
    from gostream_devstack.servers.tls_front import TlsFront
    from gostream_devstack.servers.valkey import Valkey
    from gostream_devstack.tls.certificates import Certificates

TEMPLATE = "gostream_template"


@dataclass(frozen=True)
class RedisSettings:
    """The connection settings of an empty Redis."""

    host: str
    port: int
    password: str
    db: int
    url: str


@dataclass(frozen=True)
class Bucket:
    """The bucket that all tests share, and a key prefix (ending in a slash) for this test alone."""

    name: str
    prefix: str


@pytest.fixture(scope="session")
def _server_directories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directories]:
    from gostream_devstack.host.directories import Directories

    directories = Directories.at(tmp_path_factory.mktemp("servers"))
    yield directories
    directories.remove()


@pytest.fixture(scope="session")
def _server_ports() -> Ports:
    from gostream_devstack.host.ports import Ports

    return Ports({})


@pytest.fixture(scope="session")
def _server_state() -> State:
    from gostream_devstack.host.state import State

    return State()


@pytest.fixture(scope="session")
def postgres_server(
    _server_directories: Directories, _server_ports: Ports, _server_state: State
) -> Iterator[Postgres]:
    """A running PostgreSQL without fsync (`.url`, `.url_of(database)`, `.execute(sql)` as superuser).

    Shared by the session. Tests that stop or kill it need not restart it: `database_url` does.
    """
    from gostream_devstack.servers.postgres import Postgres

    secret = _server_state.secrets["postgres_password"]
    server = Postgres(_server_directories, _server_ports.pick("postgres"), secret, durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _template_database(postgres_server: Postgres) -> str:
    from gostream_devstack.servers.postgres import ROLE
    from gostream_shared.db.migrate import migrate

    postgres_server.execute(f"CREATE DATABASE {TEMPLATE} OWNER {ROLE}")
    with ThreadPoolExecutor(max_workers=1) as executor:  # the test's event loop may be running in this thread
        executor.submit(asyncio.run, migrate(postgres_server.url_of(TEMPLATE))).result()
    return TEMPLATE


@pytest.fixture
def database_url(postgres_server: Postgres, _template_database: str) -> Iterator[str]:
    """The URL of a database for this test alone: migrated, empty, owned by the application's role."""
    from gostream_devstack.servers.postgres import ROLE

    if not postgres_server.alive:
        postgres_server.start()
    name = f"test_{secrets.token_hex(6)}"
    postgres_server.execute(f"CREATE DATABASE {name} TEMPLATE {_template_database} OWNER {ROLE}")
    yield postgres_server.url_of(name)
    if postgres_server.alive:
        postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def redis_server(
    _server_directories: Directories, _server_ports: Ports, _server_state: State
) -> Iterator[Valkey]:
    """A running Redis (Valkey): `.host .port .password .url`, `.stop() .start() .kill() .pause() .resume()`.

    Shared by the session. Tests that break it need not repair it: `redis_settings` does.
    """
    from gostream_devstack.servers.valkey import Valkey

    server = Valkey(_server_directories, _server_ports.pick("redis"), _server_state.secrets["redis_password"])
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_settings(redis_server: Valkey) -> RedisSettings:
    """The settings of the session's Redis, which is running and empty when the test begins."""
    redis_server.resume()
    if not redis_server.alive:
        redis_server.start()
    redis_server.execute("FLUSHALL")
    server = redis_server
    return RedisSettings(server.host, server.port, server.password, server.db, server.url)


@pytest.fixture
def make_redis_server(
    _server_directories: Directories, _server_ports: Ports
) -> Iterator[Callable[..., Valkey]]:
    """A function that starts a Redis for this test alone.

    `make_redis_server(maxmemory="1mb", replicaof=f"{primary.host} {primary.port}")`: keywords are
    configuration lines, with underscores for dashes. All passwords are equal, so that replicas can log in.
    The servers are stopped after the test.
    """
    from gostream_devstack.servers.valkey import Valkey

    servers: list[Valkey] = []

    def make(**options: str) -> Valkey:
        name = f"redis-{secrets.token_hex(4)}"
        lines = {key.replace("_", "-"): value for key, value in options.items()}
        server = Valkey(_server_directories, _server_ports.pick(name), "replicated", lines, name)
        servers.append(server)
        server.start()
        return server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def object_store_server(
    _server_directories: Directories, _server_ports: Ports, _server_state: State
) -> Iterator[SeaweedFS]:
    """A running S3 server: `.endpoint_url .access_key .secret_key .region .bucket`.

    The keys are the application's, which may use only this bucket. Anonymous readers may GET `hls/*`. Use
    path-style addresses.
    """
    from gostream_devstack.servers.seaweedfs import SeaweedFS

    server = SeaweedFS(_server_directories, _server_ports, _server_state.secrets, _server_ports.pick("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bucket(object_store_server: SeaweedFS) -> Bucket:
    """The bucket (`.name`), and a `.prefix` of keys that no other test uses. The bucket is not emptied."""
    if not object_store_server.alive:
        object_store_server.start()
    return Bucket(object_store_server.bucket, f"test-{secrets.token_hex(6)}/")


@pytest.fixture(scope="session")
def certificates(_server_directories: Directories) -> Certificates:
    """The certificates of this session's TLS: `.authority .certificate .key` and `.renew()`."""
    from gostream_devstack.tls.certificates import Certificates

    return Certificates(_server_directories)


@pytest.fixture
def make_tls_front(
    _server_directories: Directories, _server_ports: Ports, certificates: Certificates
) -> Iterator[Callable[..., TlsFront]]:
    """A function that starts TLS in front of a server: `make_tls_front(postgres_server, "postgres")`."""
    from gostream_devstack.servers.tls_front import TlsFront

    fronts: list[TlsFront] = []

    def make(behind: Server, kind: str = "") -> TlsFront:
        port = _server_ports.pick(f"{behind.name}-tls")
        front = TlsFront(_server_directories, behind, port, certificates, kind)
        fronts.append(front)
        front.start()
        return front

    yield make
    for front in fronts:
        front.stop()


@pytest.fixture
def make_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Stack]]:
    """A function that starts a separate stack, for tests that break servers.

    `make_stack(api_replicas=1, workers=1, settings={"REDIS_TTL": "1s"}, issuer=None, tls=False)`; see
    `stack`. With an issuer, the API requires its tokens. Stopped after the test.
    """
    with ExitStack() as started:

        def make(
            api_replicas: int = 1,
            workers: int = 1,
            settings: Mapping[str, str] | None = None,
            issuer: TokenIssuer | None = None,
            *,
            tls: bool = False,
        ) -> Stack:
            root = tmp_path_factory.mktemp("stack")
            chosen = (settings or {}, issuer)
            return started.enter_context(_running_stack(root, api_replicas, workers, *chosen, tls=tls))

        yield make


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A complete running stack: all servers, two API replicas, two workers, nginx and Envoy.

    `.env` has the variables that `gostream-devstack env` prints, `.servers` every process by name (postgres
    redis seaweedfs nginx envoy api-1 api-2 worker-1 worker-2) with `.pid .log .tail()` and `.stop() .start()
    .kill() .terminate() .pause() .resume()`. Shared by the session: restore its state, or use `make_stack`.
    """
    with _running_stack(tmp_path_factory.mktemp("stack"), 2, 2, {}) as running:
        yield running


@pytest.fixture(scope="session")
def tls_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A complete stack with one API and one worker, and TLS everywhere (`.certificates`)."""
    with _running_stack(tmp_path_factory.mktemp("tls-stack"), 1, 1, {}, tls=True) as running:
        yield running


@contextmanager
def _running_stack(
    root: Path,
    api_replicas: int,
    workers: int,
    settings: Mapping[str, str],
    issuer: TokenIssuer | None = None,
    *,
    tls: bool = False,
) -> Iterator[Stack]:
    from gostream_devstack.host.directories import Directories
    from gostream_devstack.host.ports import Ports
    from gostream_devstack.host.state import State
    from gostream_devstack.instance.stack import Options, Stack
    from gostream_devstack.instance.up import start_somewhere

    directories = Directories.at(root)
    options = Options(
        api_replicas=api_replicas, workers=workers, settings=settings, durable=False, issuer=issuer, tls=tls
    )
    state, ports = State(), Ports({})
    stack: Stack | None = None
    try:
        stack = start_somewhere(
            lambda: Stack(directories, state, ports, options), ports, lambda *_: None, print
        )
        yield stack
    finally:
        if stack is not None:
            stack.stop()
        directories.remove()
