"""The first bytes of a connection, which choose its protocol unless TLS has negotiated it."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from gostream_api.read_door.http2.frames import PREFACE
from gostream_api.read_door.limits import Limits

ALPN = ["h2", "http/1.1"]


class Client(Protocol):
    """What the server needs of a connection."""

    def drain(self) -> None:
        """End the connection after its calls."""
        ...

    def abort(self) -> None: ...

    def check(self, now: float) -> None:
        """Enforce the limits of time."""
        ...


class Served(Client, Protocol):
    """A connection whose protocol is known."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...

    def data_received(self, data: bytes) -> None: ...


class Sniffer(asyncio.Protocol):
    """Waits for the first bytes of a client, then hands its transport to `http2()` or `http1()`.

    `admit` is called when the client is connected, and refuses it with False; `gone` when it has left without
    a choice; `chosen` with the connection that takes over.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        http2: Callable[[], Served],
        http1: Callable[[], Served],
        admit: Callable[[Client], bool],
        gone: Callable[[Client], None],
        chosen: Callable[[Client, Client], None],
    ) -> None:
        self._limits = limits
        self._http2, self._http1 = http2, http1
        self._admit, self._gone, self._chosen = admit, gone, chosen
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._is_draining = False
        self._first = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._admit(self):
            self._transport.close()
            return
        secured = cast("ssl.SSLObject | None", transport.get_extra_info("ssl_object"))
        if secured is not None and (agreed := secured.selected_alpn_protocol()):
            self._hand_over(self._http2() if agreed == "h2" else self._http1())

    def data_received(self, data: bytes) -> None:
        self._first += data
        if not PREFACE.startswith(self._first[: len(PREFACE)]):
            self._hand_over(self._http1())
        elif len(self._first) >= len(PREFACE):
            self._hand_over(self._http2())

    def connection_lost(self, error: Exception | None) -> None:
        self._gone(self)

    def drain(self) -> None:
        self._is_draining = True

    def abort(self) -> None:
        self._transport.abort()

    def check(self, now: float) -> None:
        silence = self._limits.quiet if self._is_draining else self._limits.handshake
        if now - self._began > silence:
            self._transport.abort()

    def _hand_over(self, connection: Served) -> None:
        self._transport.set_protocol(cast("asyncio.BaseProtocol", connection))
        self._chosen(self, connection)
        connection.connection_made(self._transport)
        if self._is_draining:
            connection.drain()
        if self._first:
            connection.data_received(self._first)
