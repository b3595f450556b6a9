"""The epoch that entries in Redis are read under; a failover raises it, and older entries are unreachable."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from gostream_shared.cache.metrics import NAMESPACE_EPOCH
from gostream_shared.cache.protocol import CacheUnavailableError, Epochs
from gostream_shared.domain.errors import BackendUnavailableError

_log = structlog.get_logger(__name__)

#: Seconds between looks at who the server is and which epoch the database has for it.
CHECK_INTERVAL = 1.0


class Namespace:
    """The epoch as this process knows it, and the server it knows it of."""

    def __init__(self, epoch: int | None = None, server: str | None = None) -> None:
        self._epoch = epoch
        self._server = server
        self._admitted: set[str] = set()
        self.doubted = asyncio.Event()

    @property
    def epoch(self) -> int:
        """Raises CacheUnavailableError while it is not known: nothing in Redis can be trusted then."""
        if self._epoch is None:
            raise CacheUnavailableError("the cache's epoch is not known")
        return self._epoch

    def demand(self, epoch: int) -> None:
        """Raise CacheUnavailableError unless this is still the epoch.

        To be asked when a reply came: the command may have been sent over a connection that was made after
        the epoch was given up.
        """
        if epoch != self._epoch:
            raise CacheUnavailableError("the cache's epoch changed under way")

    def admits(self, server: str) -> bool:
        """Whether a new connection leads where the others lead; if not, the epoch is no longer known."""
        if self._server not in (None, server):
            self.forget()
            return False
        self._admitted.add(server)
        return True

    @property
    def is_known(self) -> bool:
        return self._epoch is not None

    def begin(self) -> None:
        """No connection is left: those that come now must all lead to one server."""
        self._admitted.clear()

    def confirm(self, epoch: int, server: str) -> bool:
        """Note what the database says of a server; whether that is news.

        Nothing is known if a connection was admitted to another one meanwhile.
        """
        if self._admitted - {server}:
            self.forget()
            return False
        news = (epoch, server) != (self._epoch, self._server)
        self._epoch, self._server = epoch, server
        return news

    def forget(self) -> None:
        """Read nothing from Redis until the epoch was looked up again."""
        self._epoch = self._server = None
        self.doubted.set()


class ServerProbe(Protocol):
    """The commands' connections, as far as the keeper is concerned. Raises CacheUnavailableError."""

    async def server(self) -> str:
        """Who takes our commands."""
        ...

    async def reconnect(self) -> None:
        """Drop every connection; new ones are made when they are needed."""
        ...


class NamespaceKeeper:
    """Keeps the namespace true: asks the server who it is, and the database which epoch that makes."""

    def __init__(
        self,
        namespace: Namespace,
        epochs: Epochs,
        *,
        probe: ServerProbe,
        changed: Callable[[], None],
    ) -> None:
        self._namespace = namespace
        self._epochs = epochs
        self._probe = probe
        self._changed = changed

    async def run(self) -> None:
        """Check until cancelled, once a second and whenever a connection raised doubt."""
        while True:
            await self.check()
            try:
                async with asyncio.timeout(CHECK_INTERVAL):
                    await self._namespace.doubted.wait()
            except TimeoutError:
                continue

    async def check(self) -> None:
        """Look once. While Redis does not answer, or is not the one in use, the epoch is not known."""
        self._namespace.doubted.clear()
        try:
            if not self._namespace.is_known:
                await self._probe.reconnect()
                self._namespace.begin()
            server = await self._probe.server()
            epoch = await self._epochs.current(server)
        except CacheUnavailableError:
            self._lose()
            return
        except BackendUnavailableError:
            return  # nothing is written while the database is down; the server was the same a moment ago
        if epoch is None:
            _log.warning("another Redis server is the one in use", server=server)
            self._lose()
        elif self._namespace.confirm(epoch, server):
            NAMESPACE_EPOCH.set(epoch)
            _log.info("cache epoch", epoch=epoch, server=server)
            self._changed()

    def _lose(self) -> None:
        self._namespace.forget()
        self._namespace.doubted.clear()  # this check was the answer to that doubt
