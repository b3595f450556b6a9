"""The types and ports of the coherent cache; docs/explanation/caching.md explains the protocol."""

import enum
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from gostream_shared.domain.errors import GoStreamError
from gostream_shared.domain.video import Video

#: A `min_version` that no entry satisfies, to force a read from the primary database.
NEWEST = 2**63 - 1


class CacheUnavailableError(GoStreamError):
    """Redis did not answer or cannot be trusted. Never reaches a client: reads go to the database."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The committed video at `version`: its value, its encoded reply, or both.

    Neither = no such video (version 0, or that of its tombstone).
    """

    version: int
    video: Video | None
    reply: bytes | None = None

    @property
    def is_absent(self) -> bool:
        return self.video is None and self.reply is None


@dataclass(frozen=True, slots=True)
class Hit:
    """A current entry that is fresh for `fresh_for` seconds; its load took `cost` seconds."""

    entry: Entry
    fresh_for: float
    cost: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Another caller is loading the entry."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The caller must load the entry and may fill it once with `token`.

    `stale` is an expired entry that was never invalidated.
    """

    token: str
    stale: Entry | None = None


Lookup = Hit | Wait | Lease


class Filled(enum.StrEnum):
    """The result of a fill."""

    OK = "ok"
    LEASE = "lease"  # the lease was lost: invalidated, evicted, expired or leased again
    FLOOR = "floor"  # the loaded version is below the version floor


@dataclass(frozen=True, slots=True)
class Fill:
    """One entry to store under a lease; `cost` = seconds its load took."""

    token: str
    entry: Entry
    cost: float = 0.0


class VideoCache(Protocol):
    """The cache that all processes share. Every method raises CacheUnavailableError quickly."""

    async def get_or_lease(self, video_id: UUID, *, min_version: int = 0, refresh: bool = False) -> Lookup:
        """Returns the entry at `min_version` or later, or a lease to load it.

        With `refresh`, a fresh entry is also reloaded unless another caller holds the lease.
        """
        ...

    async def get_or_lease_many(
        self, video_ids: Sequence[UUID], min_versions: Sequence[int]
    ) -> Mapping[UUID, Lookup]:
        """Look up many videos in one round trip."""
        ...

    async def fill(self, video_id: UUID, fill: Fill) -> Filled:
        """Store an entry that was loaded under a lease, unless it may be out of date."""
        ...

    async def fill_many(self, fills: Mapping[UUID, Fill]) -> Mapping[UUID, Filled]:
        """Fill many entries in one round trip."""
        ...

    async def invalidate(self, changes: Mapping[UUID, int]) -> None:
        """Invalidate entries below the given versions and notify every process, in one round trip."""
        ...


class BusListener(Protocol):
    """Receives the messages of the bus. Methods run on the event loop and must not block or raise."""

    def changed(self, video_id: UUID, version: int) -> None:
        """Versions below `version` are out of date."""
        ...

    def reset(self) -> None:
        """Messages may have been lost: no L1 entry can be trusted."""
        ...


class Epochs(Protocol):
    """The store of the cache epoch. It is outside Redis, because the epoch counts Redis failovers."""

    async def current(self, server: str) -> int | None:
        """Returns the epoch of a process connected to `server`; None if another server is current.

        A new server begins a new epoch. Raises BackendUnavailableError.
        """
        ...


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The server acknowledged the subscription; repeated after each reconnection of the driver."""


class BusTransport(Protocol):
    """Redis pub/sub, and the heartbeats sent over it by script."""

    def connect(self) -> AbstractAsyncContextManager[AsyncIterator[Subscribed | str]]:
        """Open one connection and yield its acknowledgements and messages in order.

        Raises CacheUnavailableError when the connection is lost.
        """
        ...

    async def beat(self, nonce: str, *, interval: float) -> "Beat":
        """Publish a heartbeat unless one was published within `interval` seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Beat:
    """The reply to a heartbeat: the server's time in seconds and its identity."""

    time: float
    server: str
