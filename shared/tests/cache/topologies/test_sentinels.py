"""The client follows the primary that sentinels name."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.exceptions import ConnectionError

from gostream_shared.cache.breaker import Breaker
from gostream_shared.cache.driver.sentinels import Address, Sentinels
from gostream_shared.cache.protocol import CacheUnavailableError
from gostream_shared.cache.redis_connection import RedisConnection, open_servers
from gostream_shared.cache.start import check_redis
from gostream_shared.config import Config, load
from gostream_shared.domain.errors import BackendRefusedError
from tests.support.servers.redis_topologies import Watched
from tests.support.waiting import eventually

pytestmark = pytest.mark.stack


def config_of(watched: Watched, **others: str) -> Config:
    return load(Config, {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x", **watched.environment, **others})


@pytest.fixture
async def link(watched: Watched) -> AsyncIterator[RedisConnection]:
    link = RedisConnection(open_servers(config_of(watched)), Breaker())
    async with link.servers:
        yield link


async def written(link: RedisConnection) -> bool:
    try:
        async with link.guarded("set", 1.0):
            return bool(await link.client.set("key", "value"))
    except CacheUnavailableError:
        return False


async def test_commands_reach_the_promoted_replica(watched: Watched, link: RedisConnection) -> None:
    assert await written(link)
    before = await link.server()

    watched.servers[0].kill()

    await eventually(lambda: written(link))
    assert await link.server() != before
    assert watched.primary() is watched.servers[1]


async def test_frozen_and_dead_sentinels_are_skipped(watched: Watched, link: RedisConnection) -> None:
    watched.sentinels[0].pause()
    watched.sentinels[1].kill()
    try:
        async with asyncio.timeout(30):
            assert await link.client.set("key", "value")
    finally:
        watched.sentinels[0].resume()


async def test_wrong_password_of_sentinels_is_refused(watched: Watched) -> None:
    config = config_of(watched, REDIS_SENTINEL_PASSWORD="hunter2")

    async with open_servers(config) as servers:
        with pytest.raises(ConnectionError, match="invalid username-password"):
            await servers.identity()
    with pytest.raises(BackendRefusedError) as refused:
        await check_redis(config)
    assert "hunter2" not in str(refused.value.cause)


async def test_unknown_service_is_named(watched: Watched) -> None:
    config = config_of(watched, REDIS_URL=watched.url.replace("/gostream", "/another"))

    async with open_servers(config) as servers:
        with pytest.raises(ConnectionError, match="no sentinel names the primary of another"):
            await servers.identity()


@pytest.mark.slow
async def test_demoted_primary_is_left(watched: Watched, link: RedisConnection) -> None:
    assert await written(link)

    said = await asyncio.to_thread(watched.sentinels[0].execute, "SENTINEL", "FAILOVER", "gostream")

    assert b"+OK" in said
    await eventually(lambda: watched.primary() is watched.servers[1])
    await eventually(lambda: written(link))


async def test_simultaneous_questions_reach_the_living_sentinel() -> None:
    """Many callers find the first one down at the same moment; each puts only that one last."""
    down = asyncio.Event()

    def client(address: Address) -> Any:
        return FakeSentinel(address, down)

    sentinels = Sentinels((("a", 1), ("b", 2), ("c", 3)), "gostream", client)
    asking = [asyncio.create_task(sentinels.primary()) for _ in range(30)]
    await asyncio.sleep(0)
    down.set()

    assert {found for found, _ in await asyncio.gather(*asking)} == {("primary", 6379)}
    assert (await sentinels.primary())[1] != ("a", 1)


class FakeSentinel:
    """A client of a sentinel: `a` is down, the others answer."""

    def __init__(self, address: Address, down: asyncio.Event) -> None:
        self._address, self._down = address, down

    async def __aenter__(self) -> "FakeSentinel":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def execute_command(self, *_: str) -> list[bytes]:
        await self._down.wait()
        await asyncio.sleep(0)
        if self._address == ("a", 1):
            raise ConnectionError("down")
        return [b"primary", b"6379"]
