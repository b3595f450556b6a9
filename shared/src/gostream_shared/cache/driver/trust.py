"""TLS to Redis: the certificate and the name of the server are checked."""

import ssl
from pathlib import Path
from typing import Any

from redis.asyncio import SSLConnection


class Trust:
    """The context of all connections, kept until the authority's file changes: building one takes long."""

    def __init__(self, authority: Path | None) -> None:
        self._authority = authority
        self._stamp: object = None
        self._context: ssl.SSLContext | None = None

    def get(self) -> ssl.SSLContext:
        """Raises OSError, which the driver counts as a failed connection."""
        found = self._authority.stat() if self._authority else None
        stamp = found and (found.st_mtime_ns, found.st_size, found.st_ino)
        if self._context is None or stamp != self._stamp:
            self._context = ssl.create_default_context(cafile=self._authority)
            self._stamp = stamp
        return self._context


class TlsConnection(SSLConnection):
    """A connection that trusts what `trust` says at the time of each handshake."""

    def __init__(self, *, trust: Trust, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context = trust  # type: ignore[assignment]  # the driver calls `get` alone
