"""The compared caches behind one interface."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol
from uuid import UUID

from gostream_shared.config import Config
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.repositories import VideoRepository


class Reader(Protocol):
    """The methods of a cache that readers use."""

    async def get(self, video_id: UUID) -> int:
        """Reads the video through the cache. Returns its version."""
        ...

    async def counters(self) -> dict[str, int]:
        """The system's own counters."""
        ...


class System(Reader, Protocol):
    """One cache in one process."""

    async def announce(self, video_id: UUID, version: int) -> bool:
        """Invalidates the video after a write. Returns False if that is postponed."""
        ...


#: Opens a system from its configuration, the database, and the repository that loads videos.
Opener = Callable[[Config, PostgresDatabase, VideoRepository], AbstractAsyncContextManager[System]]


@asynccontextmanager
async def open_system(
    name: str, config: Config, database: PostgresDatabase, videos: VideoRepository
) -> AsyncIterator[System]:
    """Returns the system of that name. Imports libraries that only benchmarks use on demand."""
    async with _opener(name)(config, database, videos) as system:
        yield system


def _opener(name: str) -> Opener:
    match name:
        case "gostream" | "near":  # the writers of both announce in the same way
            from benchmarks.coherence.gostream_cache import open_ours

            return open_ours
        case "naive":
            from benchmarks.coherence.naive import open_naive

            return open_naive
        case "cashews":
            from benchmarks.coherence.libraries import open_cashews

            return open_cashews
        case "aiocache":
            from benchmarks.coherence.libraries import open_aiocache

            return open_aiocache
    raise ValueError(f"no system is called {name}")
