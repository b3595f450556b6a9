"""PgBouncer in transaction mode, from Debian's package, which is unpacked into .tools without root."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import asyncpg

from gostream_devstack.errors import StackError
from gostream_devstack.host.directories import REPOSITORY, Directories
from gostream_devstack.servers.postgres import ROLE, Postgres
from gostream_devstack.servers.server import Server

_UNPACKED = REPOSITORY / ".tools/pgbouncer"
#: The program, and the libraries of it that a small system lacks.
_PACKAGES = ("pgbouncer", "libevent-2.1-7", "libc-ares2")
_TIMEOUT = 120.0


class PgBouncer(Server):
    """A pooler in front of `postgres`, with few server connections, so that transactions change them."""

    restarts: ClassVar[bool] = True

    def __init__(self, directories: Directories, postgres: Postgres, port: int, server_connections: int = 4):
        super().__init__(directories, "pgbouncer", port)
        self._postgres = postgres
        self._server_connections = server_connections

    def url_of(self, database: str) -> str:
        """The connection string of a database, through the pooler."""
        return self._postgres.url_of(database).replace(f":{self._postgres.port}/", f":{self.port}/")

    def wait_for(self, database: str, timeout: float = 60.0) -> None:
        """Waits until a statement reaches the database. Raises the driver's error after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self._postgres.execute_at(self.url_of(database), "SELECT 1")
            except (OSError, asyncpg.PostgresError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def prepare(self) -> None:
        users = f'"{ROLE}" "{self._postgres.password}"\n'
        listed = self.directories.write(self.directory / "users.txt", users)
        lines = {
            "listen_addr": self.host,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": listed,
            "pool_mode": "transaction",
            "max_client_conn": 500,
            "default_pool_size": self._server_connections,
            # A test drops its database at its end.
            "server_idle_timeout": 1,
            # The default of 15 s would lengthen every outage of PostgreSQL.
            "server_login_retry": 1,
        }
        settings = "".join(f"{name} = {value}\n" for name, value in lines.items())
        target = f"* = host={self._postgres.host} port={self._postgres.port}"
        self.directories.write(
            self.directory / "pgbouncer.ini", f"[databases]\n{target}\n[pgbouncer]\n{settings}"
        )

    def command(self) -> Sequence[str]:
        program = self.directories.reachable(unpacked(), "usr") / "usr/sbin/pgbouncer"
        return [str(program), str(self.directory / "pgbouncer.ini")]

    def environment(self) -> Mapping[str, str]:
        libraries = self.directories.reachable(unpacked(), "usr").glob("usr/lib/*-linux-gnu")
        return {**super().environment(), "LD_LIBRARY_PATH": ":".join(map(str, libraries))}

    def ready(self) -> bool:
        return self.alive  # the server class waits for the port


def unpacked() -> Path:
    """Returns the folder of the programs. Raises StackError if they cannot be fetched."""
    if not (_UNPACKED / "usr/sbin/pgbouncer").exists():
        _fetch()
    return _UNPACKED


def _fetch() -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise StackError("PgBouncer is fetched by apt-get, which this system lacks")
    _UNPACKED.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_UNPACKED.parent) as folder:
        fetch = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *_PACKAGES]
        subprocess.run(fetch, cwd=folder, check=True, timeout=_TIMEOUT)  # noqa: S603
        target = Path(folder) / "unpacked"
        for package in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(package), str(target)], check=True, timeout=_TIMEOUT)  # noqa: S603, S607
        target.chmod(0o755)
        if not _UNPACKED.exists():
            target.rename(_UNPACKED)
