"""Cancelled commands stop and leave the connection usable."""

import asyncio
import random

import pytest

from gostream_shared.cache.redis_connection import RedisConnection

pytestmark = pytest.mark.stack


async def publish_for_ever(link: RedisConnection) -> None:
    while True:
        async with link.guarded("publish", 30):
            await link.client.publish("nobody listens", "hello")


async def test_cancellation_at_any_moment_is_delivered(link: RedisConnection) -> None:
    for _ in range(100):
        task = asyncio.create_task(publish_for_ever(link))
        await asyncio.sleep(random.uniform(0, 0.002))

        task.cancel()

        done, _ = await asyncio.wait({task}, timeout=10)
        assert done, "the task still runs"
        assert task.cancelled()


async def test_cancelled_command_leaves_no_reply_behind(link: RedisConnection) -> None:
    await link.client.set("mine", "1")
    for _ in range(100):
        task = asyncio.create_task(publish_for_ever(link))
        await asyncio.sleep(random.uniform(0, 0.002))
        task.cancel()
        await asyncio.wait({task})

        assert await link.client.get("mine") == b"1"
