"""Cancelled commands stop and leave the connection usable; a demoted server is left."""

import asyncio
import random
from collections.abc import Callable

import pytest

from gostream_devstack.servers.valkey import Valkey
from gostream_shared.cache.breaker import Breaker
from gostream_shared.cache.driver.client import redis_client
from gostream_shared.cache.driver.servers import OneServer
from gostream_shared.cache.protocol import CacheUnavailableError
from gostream_shared.cache.redis_connection import RedisConnection
from gostream_shared.config import Config, load
from tests.support.tcp_proxy import Proxy
from tests.support.waiting import eventually

pytestmark = pytest.mark.stack


def config_of(proxy: Proxy, *, password: str) -> Config:
    place = {"REDIS_HOST": proxy.host, "REDIS_PORT": str(proxy.port), "REDIS_PASSWORD": password}
    return load(Config, {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x", **place})


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


async def test_demoted_server_is_left(make_redis_server: Callable[..., Valkey]) -> None:
    """A connection through a proxy stays at the server that was demoted, until a write is refused."""
    primary = await asyncio.to_thread(make_redis_server)
    standby = await asyncio.to_thread(make_redis_server)
    async with Proxy.to(primary.host, primary.port) as proxy:
        link = RedisConnection(
            OneServer(redis_client(config_of(proxy, password=primary.password))), Breaker()
        )

        async def written() -> bool:
            try:
                async with link.guarded("set", 5.0):
                    return bool(await link.client.set("key", "value"))
            except CacheUnavailableError:
                return False

        async with link.servers:
            assert await written()
            proxy.target = (standby.host, standby.port)
            primary.execute("REPLICAOF", standby.host, str(standby.port))

            assert not await written()
            await eventually(written)
