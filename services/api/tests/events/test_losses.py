"""No event is lost, whatever the order in which transactions end, and however often a reader reconnects."""

import asyncio
import random
from contextlib import aclosing
from uuid import UUID, uuid4

import asyncpg

from gostream_api.events.watch import EventWatches
from gostream_api.principal import ANONYMOUS
from gostream_shared.domain.companions.events import EventFilter

WRITERS, EACH = 8, 250
NEW = "INSERT INTO videos (id, user_id, title, content_type) VALUES ($1, $2, 'Film', 'video/mp4')"


async def write(database_url: str, chance: random.Random, owner: str) -> list[UUID]:
    """Commits transactions that last 0 to 20 ms after their event."""
    connection, written = await asyncpg.connect(database_url), []
    for _ in range(EACH):
        video_id = uuid4()
        async with connection.transaction():
            await connection.execute(NEW, video_id, owner)
            await asyncio.sleep(chance.uniform(0, 0.02))
        written.append(video_id)
    await connection.close()
    return written


async def read(
    replicas: list[EventWatches], chance: random.Random, token: str, seen: dict[UUID, int], which: EventFilter
) -> None:
    """Reads without end: some events from one replica, then the next ones from another."""
    while True:
        left = chance.randint(1, 300)
        async with aclosing(chance.choice(replicas).watch(ANONYMOUS, which, token=token)) as messages:
            async for message in messages:
                token = message.token
                if message.seen is not None:
                    video_id = message.seen.event.video_id
                    seen[video_id] = seen.get(video_id, 0) + 1
                left -= 1
                if not left:
                    break


async def test_readers_lose_nothing_while_writers_overlap(
    replicas: list[EventWatches], database_url: str, chance: random.Random
) -> None:
    async with aclosing(replicas[0].watch(ANONYMOUS, EventFilter())) as messages:
        token = (await anext(messages)).token
    everything: dict[UUID, int] = {}
    of_one: dict[UUID, int] = {}
    readers = [
        asyncio.create_task(read(replicas, chance, token, everything, EventFilter())),
        asyncio.create_task(read(replicas, chance, token, of_one, EventFilter(user_id="owner-3"))),
    ]

    written = await asyncio.gather(
        *(write(database_url, chance, f"owner-{number}") for number in range(WRITERS))
    )
    async with asyncio.timeout(300):
        while len(everything) < WRITERS * EACH or len(of_one) < EACH:
            assert not any(reader.done() for reader in readers)
            await asyncio.sleep(0.05)
    for reader in readers:
        reader.cancel()

    assert everything == dict.fromkeys((each for batch in written for each in batch), 1)
    assert of_one == dict.fromkeys(written[3], 1)
