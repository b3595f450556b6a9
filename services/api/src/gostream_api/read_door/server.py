"""The listener of the read door, its connections, and a stop without lost calls."""

import asyncio
from datetime import timedelta

import structlog

from gostream_api.read_door.calls import CallTable
from gostream_api.read_door.connection import Connection
from gostream_api.read_door.limits import MAX_CONNECTIONS, Limits
from gostream_api.read_door.sending import Backlog
from gostream_api.reads.ports import LocalVideoReader
from gostream_api.rpc.interceptors.limits import ConcurrencyLimiter
from gostream_shared.listening import CannotListenError

_BACKLOG = 1024
_ELSEWHERE = (
    "this port answers GetVideo and BatchGetVideos only; the gRPC server on port {} answers all methods"
)

_log = structlog.stdlib.get_logger("gostream.read_door")


class ReadDoor:
    """Serves reads on one port. Start it once, stop it once. `limiter` is the one of the gRPC server."""

    def __init__(
        self,
        reads: LocalVideoReader,
        limiter: ConcurrencyLimiter,
        *,
        host: str,
        port: int,
        full_port: int,
        share_port: bool = False,
        limits: Limits | None = None,
        is_short: bool = True,
    ) -> None:
        self._host = host
        self._port = port
        self._share_port = share_port
        self._limits = limits or Limits()
        self._is_short = is_short
        self._table = CallTable(reads, limiter, _ELSEWHERE.format(full_port))
        self._backlog = Backlog()
        self._connections: set[Connection] = set()
        self._is_stopping = False
        self._all_gone = asyncio.Event()

    async def start(self) -> int:
        """Listen. Returns the port. Raises CannotListenError."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                self._accept, self._host, self._port, backlog=_BACKLOG, reuse_port=self._share_port or None
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
        if self._is_stopping or len(self._connections) >= MAX_CONNECTIONS:
            return _Refusal()
        connection = Connection(
            self._table, self._limits, self._backlog, self._forget, is_short=self._is_short
        )
        self._connections.add(connection)
        return connection

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if self._is_stopping and not self._connections:
            self._all_gone.set()

    async def _check(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._limits.tick)
            for connection in list(self._connections):
                connection.check(loop.time())


class _Refusal(asyncio.Protocol):
    """Closes a connection beyond the limit."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
