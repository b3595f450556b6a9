"""Two readers of one event log, as two replicas have them."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from gostream_api.events.tail import EventTail
from gostream_api.events.watch import EventWatches
from gostream_shared.concurrency import in_background
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.db.listen import keep_listening

HEARTBEAT = 30.0  # longer than most of these tests


@asynccontextmanager
async def watching(
    database: PostgresDatabase, database_url: str, *, heartbeat: float = HEARTBEAT
) -> AsyncIterator[EventWatches]:
    @asynccontextmanager
    async def listen(notify: Callable[[], None]) -> AsyncIterator[None]:
        listening = keep_listening(
            database_url, "gostream_changes", notified=lambda _: notify(), connected=notify
        )
        async with in_background(listening):
            yield

    tail = EventTail(database.events, database.videos, listen)
    async with in_background(tail.run()):
        yield EventWatches(database.events, database.videos, tail, heartbeat=heartbeat)


@pytest.fixture
async def replicas(database_url: str) -> AsyncIterator[list[EventWatches]]:
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(2):
            database = await stack.enter_async_context(PostgresDatabase.open(database_url))
            found.append(await stack.enter_async_context(watching(database, database_url)))
        yield found


@pytest.fixture
def chance() -> random.Random:
    return random.Random(20_260_130)
