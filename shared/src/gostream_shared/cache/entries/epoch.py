"""The cache epoch. A failover increments it, so entries of older epochs are not read."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from gostream_shared.cache.metrics import NAMESPACE_EPOCH
from gostream_shared.cache.protocol import CacheUnavailableError, Epochs
from gostream_shared.domain.errors import BackendUnavailableError

_log = structlog.get_logger(__name__)

#: Seconds between two checks of the Redis server's identity and its epoch in the database.
CHECK_INTERVAL = 1.0


class EpochState:
    """The epoch known to this process, and the Redis server that it belongs to.

    A Redis Cluster counts as one server, whose identity contains those of its primaries.
    """

    def __init__(self, epoch: int | None = None, server: str | None = None) -> None:
        self._epoch = epoch
        self._server = server
        self._admitted: set[str] = set()
        self.doubted = asyncio.Event()

    @property
    def epoch(self) -> int:
        """The current epoch. Raises CacheUnavailableError while it is unknown and no entry can be trusted."""
        if self._epoch is None:
            raise CacheUnavailableError("the cache epoch is unknown")
        return self._epoch

    def demand(self, epoch: int) -> None:
        """Raise CacheUnavailableError if the epoch has changed.

        Call it after each reply: the command may have used a connection that was established after the epoch
        became unknown.
        """
        if epoch != self._epoch:
            raise CacheUnavailableError("the cache epoch changed during the command")

    def admits(self, server: str) -> bool:
        """Returns True if a new connection reaches a known server; otherwise forgets the epoch."""
        if self._server is not None and server not in _each(self._server):
            self.forget()
            return False
        self._admitted.add(server)
        return True

    @property
    def is_known(self) -> bool:
        return self._epoch is not None

    def begin(self) -> None:
        """Start over after all connections were closed: new ones must all reach the same server."""
        self._admitted.clear()

    def confirm(self, epoch: int, server: str) -> bool:
        """Store (epoch, server). Returns True if either changed.

        Forgets the epoch if a connection to another server was admitted since `begin`.
        """
        if self._admitted - _each(server):
            self.forget()
            return False
        news = (epoch, server) != (self._epoch, self._server)
        self._epoch, self._server = epoch, server
        return news

    def forget(self) -> None:
        """Reject reads from Redis until the epoch is confirmed again."""
        self._epoch = self._server = None
        self.doubted.set()


def _each(servers: str) -> set[str]:
    """Returns the identities in that of a Redis Cluster, which joins those of its primaries by commas."""
    return set(servers.split(","))


class ServerProbe(Protocol):
    """The part of the command connections that the keeper uses. Methods raise CacheUnavailableError."""

    async def server(self) -> str:
        """Returns the identity of the server that executes commands."""
        ...

    async def reconnect(self) -> None:
        """Close every connection; new ones are opened on demand."""
        ...


class EpochKeeper:
    """Keeps the epoch_state true: asks the server who it is, and the database which epoch that makes."""

    def __init__(
        self,
        epoch_state: EpochState,
        epochs: Epochs,
        *,
        probe: ServerProbe,
        changed: Callable[[], None],
    ) -> None:
        self._epoch_state = epoch_state
        self._epochs = epochs
        self._probe = probe
        self._changed = changed

    async def run(self) -> None:
        """Check until cancelled, every CHECK_INTERVAL and whenever the epoch was forgotten."""
        while True:
            await self.check()
            try:
                async with asyncio.timeout(CHECK_INTERVAL):
                    await self._epoch_state.doubted.wait()
            except TimeoutError:
                continue

    async def check(self) -> None:
        """Check once. Forgets the epoch if Redis does not answer or is not the current server."""
        self._epoch_state.doubted.clear()
        try:
            if not self._epoch_state.is_known:
                await self._probe.reconnect()
                self._epoch_state.begin()
            server = await self._probe.server()
            epoch = await self._epochs.current(server)
        except CacheUnavailableError:
            self._lose()
            return
        except BackendUnavailableError:
            return  # no write commits while the database is down, so the epoch stays valid
        if epoch is None:
            _log.warning("connected to a Redis server that is not the current one", server=server)
            self._lose()
        elif self._epoch_state.confirm(epoch, server):
            NAMESPACE_EPOCH.set(epoch)
            _log.info("cache epoch", epoch=epoch, server=server)
            self._changed()

    def _lose(self) -> None:
        self._epoch_state.forget()
        self._epoch_state.doubted.clear()  # `forget` set it, and this check has handled it
