"""In-memory fakes for the cache."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID


class FakeOutbox:
    """Implements gostream_shared.cache.outbox.port.SharedOutbox in memory, without an election."""

    relay_lock = 0

    def __init__(self) -> None:
        self.rows: dict[UUID, int] = {}

    @asynccontextmanager
    async def claim(self, limit: int) -> AsyncIterator[Sequence[tuple[UUID, int]]]:
        taken = dict(list(self.rows.items())[:limit])
        yield list(taken.items())
        for video_id, version in taken.items():
            await self.settle(video_id, version)

    async def unsettled(self, limit: int) -> Mapping[UUID, int] | None:
        return dict(self.rows) if len(self.rows) <= limit else None

    async def has_relay(self) -> bool:
        return False

    async def settle(self, video_id: UUID, version: int) -> None:
        if self.rows.get(video_id, 0) <= version:
            self.rows.pop(video_id, None)


class FakeEpochs:
    """Implements gostream_shared.cache.protocol.Epochs in memory."""

    def __init__(self) -> None:
        self.servers: list[str] = []

    async def current(self, server: str) -> int | None:
        if server not in self.servers:
            self.servers.append(server)
        return len(self.servers) if server == self.servers[-1] else None
