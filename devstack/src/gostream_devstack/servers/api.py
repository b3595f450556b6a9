"""One API replica."""

import os
import shlex
from collections.abc import Mapping, Sequence

from gostream_devstack.host.directories import Directories
from gostream_devstack.servers.service import Service, python


class Api(Service):
    """`GOSTREAM_API_COMMAND` replaces the program, for example to run it under a debugger."""

    def __init__(
        self,
        directories: Directories,
        name: str,
        port: int,
        metrics_port: int,
        settings: Mapping[str, str],
        read_port: int,
        admin_port: int = 0,
    ) -> None:
        super().__init__(directories, name, port, metrics_port, settings)
        self.read_port = read_port
        self.admin_port = admin_port

    @property
    def read_address(self) -> str:
        """host:port of its read door."""
        return f"{self.host}:{self.read_port}"

    @property
    def admin_address(self) -> str:
        """host:port of AdminService."""
        return f"{self.host}:{self.admin_port}"

    @property
    def ports(self) -> tuple[int, ...]:
        return (*super().ports, self.read_port, self.admin_port)

    def command(self) -> Sequence[str]:
        return shlex.split(os.environ.get("GOSTREAM_API_COMMAND", "")) or python("gostream_api.app")

    def addresses(self) -> Mapping[str, str]:
        # All clients are on loopback, and so is Envoy.
        own = {"API_PORT": str(self.port), "READ_PORT": str(self.read_port)}
        own |= {"ADMIN_HOST": self.host, "ADMIN_PORT": str(self.admin_port)}
        return {"API_HOST": self.host, **own, "TRUSTED_PROXIES": "127.0.0.0/8"}
