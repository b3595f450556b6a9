"""The listener of the read door, its connections, and a stop without lost calls."""

import asyncio
import ssl
from datetime import timedelta
from typing import Any

import structlog

from gostream_api.auth.authenticator import Authenticator, OpenDoor
from gostream_api.read_door.backlog import Backlog
from gostream_api.read_door.http1.calls import JsonTable
from gostream_api.read_door.http1.connection import Http1Connection
from gostream_api.read_door.http2.calls import CallTable
from gostream_api.read_door.http2.connection import Connection
from gostream_api.read_door.limits import MAX_CONNECTIONS, Limits
from gostream_api.read_door.sniffing import ALPN, Client, Sniffer
from gostream_api.reads.ports import LocalVideoReader
from gostream_api.rpc.interceptors.limits import ConcurrencyLimiter
from gostream_shared.listening import CannotListenError

_BACKLOG = 1024
_ELSEWHERE = (
    "this port answers GetVideo and BatchGetVideos only; the gRPC server on port {} answers all methods"
)
_JSON_ELSEWHERE = (
    "this port answers GET /v1/videos/{{id}} and GET /v1/videos:batchGet only; "
    "the gRPC server on port {} answers all methods, and the JSON edge in front of it all paths"
)

_log = structlog.stdlib.get_logger("gostream.read_door")


class ReadDoor:
    """Serves reads on one port. Start it once, stop it once.

    `limiter` is the one of the gRPC server. Without `authenticator`, callers are ANONYMOUS. With `tls`,
    clients choose the protocol by ALPN.
    """

    def __init__(
        self,
        reads: LocalVideoReader,
        limiter: ConcurrencyLimiter,
        *,
        authenticator: Authenticator | None = None,
        host: str,
        port: int,
        full_port: int,
        share_port: bool = False,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
        is_short: bool = True,
    ) -> None:
        self._host = host
        self._port = port
        self._share_port = share_port
        self._limits = limits or Limits()
        self._tls = tls
        self._is_short = is_short
        known = authenticator or OpenDoor()
        self._table = CallTable(reads, limiter, _ELSEWHERE.format(full_port), known)
        self._json = JsonTable(reads, limiter, _JSON_ELSEWHERE.format(full_port), known, is_short=is_short)
        self._backlog = Backlog()
        self._connections: set[Client] = set()
        self._is_stopping = False
        self._all_gone = asyncio.Event()

    async def start(self) -> int:
        """Listen. Returns the port. Raises CannotListenError."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                self._accept,
                self._host,
                self._port,
                backlog=_BACKLOG,
                reuse_port=self._share_port or None,
                **_tls_options(self._tls, self._limits),
            )
        except OSError:
            raise CannotListenError(self._host, self._port) from None
        self._checking = loop.create_task(self._check())
        bound = int(self._server.sockets[0].getsockname()[1])
        _log.info("serving reads", host=self._host, port=bound)
        return bound

    async def stop(self, grace: timedelta) -> None:
        """Accept no connection, announce the end to clients, and wait `grace` for their calls to end."""
        self._is_stopping = True
        self._server.close()
        for connection in list(self._connections):
            connection.drain()
        try:
            if self._connections:
                await asyncio.wait_for(self._all_gone.wait(), grace.total_seconds())
        except TimeoutError:
            _log.warning("grace is over", connections=len(self._connections))
        finally:
            self._checking.cancel()
            for connection in list(self._connections):
                connection.abort()

    def _accept(self) -> asyncio.Protocol:
        return Sniffer(
            self._limits,
            http2=lambda: Connection(
                self._table, self._limits, self._backlog, self._forget, is_short=self._is_short
            ),
            http1=lambda: Http1Connection(self._json, self._limits, self._backlog, self._forget),
            admit=self._admit,
            gone=self._forget,
            chosen=self._replace,
        )

    def _admit(self, client: Client) -> bool:
        if self._is_stopping or len(self._connections) >= MAX_CONNECTIONS:
            return False
        self._connections.add(client)
        return True

    def _replace(self, client: Client, connection: Client) -> None:
        self._connections.discard(client)
        self._connections.add(connection)

    def _forget(self, client: Client) -> None:
        self._connections.discard(client)
        if self._is_stopping and not self._connections:
            self._all_gone.set()

    async def _check(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._limits.tick)
            for connection in list(self._connections):
                connection.check(loop.time())


def _tls_options(tls: ssl.SSLContext | None, limits: Limits) -> dict[str, Any]:
    if tls is None:
        return {}
    tls.set_alpn_protocols(ALPN)
    return {"ssl": tls, "ssl_handshake_timeout": limits.handshake, "ssl_shutdown_timeout": limits.linger}
