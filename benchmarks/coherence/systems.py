"""The caches that are compared, behind one interface."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol
from uuid import UUID

from gostream_shared.config import Config
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.repositories import VideoRepository


class Reader(Protocol):
    """What readers need of a cache."""

    async def get(self, video_id: UUID) -> int:
        """Read the video through the cache; answers the version read."""
        ...

    async def counters(self) -> dict[str, int]:
        """What it counted itself."""
        ...


class System(Reader, Protocol):
    """One cache, in one process."""

    async def announce(self, video_id: UUID, version: int) -> bool:
        """Do what this cache wants done after a write; False when it says that it could not yet."""
        ...


#: Opens a system: its configuration, the database, and how readers load a video from there.
Opener = Callable[[Config, PostgresDatabase, VideoRepository], AbstractAsyncContextManager[System]]


@asynccontextmanager
async def open_system(
    name: str, config: Config, database: PostgresDatabase, videos: VideoRepository
) -> AsyncIterator[System]:
    """The system of that name. What is only measured here is imported only when it is."""
    async with _opener(name)(config, database, videos) as system:
        yield system


def _opener(name: str) -> Opener:
    match name:
        case "gostream":
            from benchmarks.coherence.ours import open_ours

            return open_ours
        case "naive":
            from benchmarks.coherence.naive import open_naive

            return open_naive
        case "cashews":
            from benchmarks.coherence.peers import open_cashews

            return open_cashews
        case "aiocache":
            from benchmarks.coherence.peers import open_aiocache

            return open_aiocache
    raise ValueError(f"no system is called {name}")
