"""WatchEvents while replicas are killed: a follower gets every event, each in the order of its video."""

import asyncio
import random
from contextlib import aclosing
from uuid import UUID

import pytest

from gostream_client import AsyncClient
from tests.faults.replicas import Fleet

pytestmark = [pytest.mark.stack, pytest.mark.faults, pytest.mark.slow]

WRITERS, EACH = 8, 250


async def write(fleet: Fleet, chance: random.Random, number: int) -> list[tuple[str, int]]:
    """Changes videos in transactions of 0 to 20 ms. Returns their (id, version)."""
    written = []
    async with fleet.database.acquire() as connection:
        for turn in range(EACH):
            async with connection.transaction():
                if turn % 10 == 0:
                    video_id, version = UUID(int=number * 1_000 + turn + 1), 1
                    await connection.execute(
                        """INSERT INTO videos (id, user_id, title, content_type)
                        VALUES ($1, 'faults', 'Film', 'video/mp4')""",
                        video_id,
                    )
                else:
                    version = await connection.fetchval(
                        "UPDATE videos SET title = $2 WHERE id = $1 RETURNING version", video_id, str(turn)
                    )
                await asyncio.sleep(chance.uniform(0, 0.02))
            written.append((str(video_id), version))
    return written


async def test_killed_replica_loses_no_event(fleet: Fleet) -> None:
    chance = random.Random(7)
    replicas = await fleet.start(2)
    both = ",".join(replica.client.server for replica in replicas)
    seen: list[tuple[str, int]] = []
    began = asyncio.Event()

    async def follow() -> None:
        async with AsyncClient(both) as client, aclosing(client.watch_events(user_id="faults")) as events:
            async for event in events:
                began.set()
                if (event.video_id, event.version) not in seen:
                    seen.append((event.video_id, event.version))

    async with asyncio.TaskGroup() as tasks:
        follower = tasks.create_task(follow())
        async with asyncio.timeout(300):
            while not began.is_set():
                await fleet.new_video("the stream has begun")
        writing = asyncio.gather(*(write(fleet, chance, number) for number in range(WRITERS)))
        await asyncio.sleep(1)
        replicas[0].process.kill()
        written = [each for part in await writing for each in part]
        async with asyncio.timeout(300):
            while not set(written) <= set(seen):
                await asyncio.sleep(0.05)
        follower.cancel()

    for video_id in {each for each, _ in written}:
        versions = [version for found, version in seen if found == video_id]
        assert versions == sorted(versions)
