"""The vocabulary of the coherent cache and the ports its parts meet at; docs/explanation/caching.md tells the story."""

import enum
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from gostream_shared.domain.errors import GoStreamError
from gostream_shared.domain.video import Video

#: A `min_version` that no entry satisfies: the caller wants the primary database's answer.
NEWEST = 2**63 - 1


class CacheUnavailableError(GoStreamError):
    """Redis did not answer, or may not be trusted now. Never reaches a client: reads go to the database."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What was committed at `version`; None = no such video (version 0, or that of its tombstone)."""

    version: int
    video: Video | None


@dataclass(frozen=True, slots=True)
class Hit:
    """A current entry, good for `fresh_for` more seconds; loading it took `cost` seconds."""

    entry: Entry
    fresh_for: float
    cost: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody else is loading it."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The caller is to load it and may fill once with `token`.

    `stale` is an entry that outlived its time but was never invalidated.
    """

    token: str
    stale: Entry | None = None


Lookup = Hit | Wait | Lease


class Filled(enum.StrEnum):
    """What became of a fill."""

    OK = "ok"
    LEASE = "lease"  # the lease was lost: invalidated, evicted, expired or leased anew
    FLOOR = "floor"  # an invalidation named a higher version than the one loaded


@dataclass(frozen=True, slots=True)
class Fill:
    """One entry to store under a lease; `cost` = seconds its load took."""

    token: str
    entry: Entry
    cost: float = 0.0


class VideoCache(Protocol):
    """The cache all processes share. Every method raises CacheUnavailableError, quickly."""

    async def get_or_lease(self, video_id: UUID, *, min_version: int = 0, refresh: bool = False) -> Lookup:
        """The entry at `min_version` or later, or the right to load it; with `refresh` rather the latter."""
        ...

    async def get_or_lease_many(
        self, video_ids: Sequence[UUID], min_versions: Sequence[int]
    ) -> Mapping[UUID, Lookup]:
        """The same for many, in one round trip."""
        ...

    async def fill(self, video_id: UUID, fill: Fill) -> Filled:
        """Store what was loaded under a lease, unless it may be out of date."""
        ...

    async def fill_many(self, fills: Mapping[UUID, Fill]) -> Mapping[UUID, Filled]:
        """The same for many, in one round trip."""
        ...

    async def invalidate(self, changes: Mapping[UUID, int]) -> None:
        """Make everything below those versions unreadable and tell every process; in one round trip."""
        ...


class BusListener(Protocol):
    """What a process does on hearing the bus. Called on the event loop; must neither wait nor raise."""

    def changed(self, video_id: UUID, version: int) -> None:
        """Everything below `version` is out of date."""
        ...

    def reset(self) -> None:
        """Messages may have been missed: nothing local can be trusted."""
        ...


class Epochs(Protocol):
    """Where the namespace epoch is kept: not in Redis, whose failovers it counts."""

    async def current(self, server: str) -> int | None:
        """The epoch of a process that talks to `server`; None when another server is the one in use.

        A server not seen before begins an epoch. Raises BackendUnavailableError.
        """
        ...


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The server acknowledged the subscription; repeated when the driver reconnected by itself."""


class BusTransport(Protocol):
    """Redis's pub/sub, and what is sent over it by script."""

    def connect(self) -> AbstractAsyncContextManager[AsyncIterator[Subscribed | str]]:
        """One connection: acknowledgements and messages in order, CacheUnavailableError when it is lost."""
        ...

    async def beat(self, nonce: str, *, interval: float) -> "Beat":
        """Publish a heartbeat unless there was one within `interval` seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Beat:
    """What the server that takes our commands said of itself: its time in seconds, and who it is."""

    time: float
    server: str
