"""TLS in front of PostgreSQL or Redis, whose wheels are built without it."""

import socket
from collections.abc import Mapping, Sequence
from typing import ClassVar

from gostream_devstack.host.directories import Account, Directories
from gostream_devstack.host.interpreter import account_of_services
from gostream_devstack.servers.server import Server
from gostream_devstack.servers.service import home_of, python
from gostream_devstack.tls.certificates import Certificates


class TlsFront(Server):
    """Decrypts connections to `behind`."""

    restarts: ClassVar[bool] = True

    def __init__(
        self, directories: Directories, behind: Server, port: int, certificates: Certificates, kind: str = ""
    ) -> None:
        super().__init__(directories, f"{behind.name}-tls", port)
        self._to = behind.port
        self._certificates = certificates
        self._kind = (kind,) if kind else ()

    @property
    def account(self) -> Account | None:
        return account_of_services(self.directories)

    def environment(self) -> Mapping[str, str]:
        return {**super().environment(), **home_of(self)}

    def command(self) -> Sequence[str]:
        files = (str(self._certificates.certificate), str(self._certificates.key))
        return [
            *python("gostream_devstack.tls.front"),
            str(self.port),
            str(self._to),
            *files,
            *self._kind,
        ]

    def ready(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        return True
