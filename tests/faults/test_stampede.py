"""Many callers read one cold video from two replicas."""

import asyncio
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gostream_client import AsyncClient
from gostream_devstack.instance.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.faults]
CALLERS = 1000


async def database_loads(url: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        text = await answer.text()
    families = text_string_to_metric_families(text)
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == "gostream_db_loads_total"
    )


async def cold_video(stack: Stack) -> UUID:
    """A video inserted with SQL, which no cache holds."""
    database = await asyncpg.connect(stack.env["DATABASE_URL"])
    video_id = uuid4()
    await database.execute(
        "INSERT INTO videos (id, user_id, title, content_type) VALUES ($1, 'crowd', 'cold', 'video/mp4')",
        video_id,
    )
    async with asyncio.timeout(300):  # wait until the outbox relay has announced version 1
        while await database.fetchval("SELECT 1 FROM cache_outbox WHERE video_id = $1", video_id):
            await asyncio.sleep(0.02)
    await database.close()
    return video_id


async def test_thousand_callers_cost_one_load_per_replica(stack: Stack) -> None:
    addresses = stack.env["GOSTREAM_API_ADDR"].split(",")
    metrics = stack.env["GOSTREAM_METRICS_URL"].split(",")[: len(addresses)]
    video_id = await cold_video(stack)
    before = [await database_loads(url) for url in metrics]

    async with AsyncClient(addresses[0], timeout=30) as one, AsyncClient(addresses[1], timeout=30) as two:
        clients = (one, two)
        replies = await asyncio.gather(
            *(clients[number % 2].get_video_reply(str(video_id)) for number in range(CALLERS))
        )

    loads = [await database_loads(url) - was for url, was in zip(metrics, before, strict=True)]
    assert {reply.video.title for reply in replies} == {"cold"}
    assert sum(loads) >= 1
    assert max(loads) <= 1, f"loads by replica: {loads}"


async def test_no_replica_returns_superseded_version(stack: Stack) -> None:
    addresses = stack.env["GOSTREAM_API_ADDR"].split(",")
    video_id = await cold_video(stack)
    database = await asyncpg.connect(stack.env["DATABASE_URL"])

    async def read_until_new(client: AsyncClient, version: int) -> None:
        """Asserts that a client that has read the new version never reads an older one."""
        async with asyncio.timeout(300):
            while (await client.get_video(str(video_id))).version < version:
                await asyncio.sleep(0.005)
        for _ in range(50):
            assert (await client.get_video(str(video_id))).version >= version

    async with AsyncClient(addresses[0]) as one, AsyncClient(addresses[1]) as two:
        for client in (one, two):
            await client.get_video(str(video_id))
        for round_ in range(20):
            version = await database.fetchval(
                "UPDATE videos SET title = $2 WHERE id = $1 RETURNING version", video_id, f"round {round_}"
            )
            await asyncio.gather(read_until_new(one, version), read_until_new(two, version))
    await database.close()
