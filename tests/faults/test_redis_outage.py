"""Redis stops and restarts under two API replicas."""

import asyncio
from collections.abc import Callable
from uuid import UUID, uuid4

import asyncpg
import pytest

from gostream_client import AsyncClient
from gostream_devstack.instance.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.faults]
NEW_VIDEO = "INSERT INTO videos (id, user_id, title, content_type) VALUES ($1, 'faults', $2, 'video/mp4')"


async def seen(client: AsyncClient, video_id: UUID, title: str, *, within: float = 10) -> str:
    """Reads until the title is returned. Returns the layer that served it."""
    async with asyncio.timeout(within):
        while (reply := await client.get_video_reply(str(video_id))).video.title != title:
            await asyncio.sleep(0.02)
    return reply.x_cache


async def test_redis_outage_causes_no_errors_or_staleness(
    make_stack: Callable[..., Stack],
) -> None:
    stack = await asyncio.to_thread(make_stack, api_replicas=2, workers=0)
    redis = stack.servers["redis"]
    first, second = stack.env["GOSTREAM_API_ADDR"].split(",")
    database = await asyncpg.connect(stack.env["DATABASE_URL"])
    async with AsyncClient(first) as one, AsyncClient(second) as two:
        video_id = uuid4()
        await database.execute(NEW_VIDEO, video_id, "before")
        for client in (one, two):
            await seen(client, video_id, "before")

        await asyncio.to_thread(redis.stop)
        answers = await asyncio.gather(
            *(client.get_video_reply(str(video_id)) for client in (one, two) for _ in range(50))
        )
        assert {answer.video.title for answer in answers} == {"before"}
        await database.execute("UPDATE videos SET title = 'while away' WHERE id = $1", video_id)
        for client in (one, two):
            await seen(client, video_id, "while away")

        await asyncio.to_thread(redis.start)
        await database.execute("UPDATE videos SET title = 'after' WHERE id = $1", video_id)
        for client in (one, two):
            await seen(client, video_id, "after")
            async with asyncio.timeout(300):
                while (await client.get_video_reply(str(video_id))).x_cache != "L1":
                    await asyncio.sleep(0.05)
            assert (await client.get_video_reply(str(video_id))).video.title == "after"
    await database.close()
