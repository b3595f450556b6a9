"""The bus on a real server: live only when proven, and every loss is noticed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID, uuid4

import pytest

from gostream_shared.cache.breaker import Breaker
from gostream_shared.cache.bus.bus import Bus
from gostream_shared.cache.bus.redis_transport import RedisBusTransport
from gostream_shared.cache.driver.client import redis_client
from gostream_shared.cache.driver.servers import OneServer
from gostream_shared.cache.entries.redis_cache import SEQUENCE_KEY, RedisVideoCache, change_channel
from gostream_shared.cache.redis_connection import RedisConnection
from gostream_shared.config import Config
from tests.support.waiting import eventually

pytestmark = pytest.mark.stack


@dataclass
class Heard:
    changes: list[tuple[UUID, int]] = field(default_factory=list)
    resets: int = 0

    def changed(self, video_id: UUID, version: int) -> None:
        self.changes.append((video_id, version))

    def reset(self) -> None:
        self.resets += 1

    def more_than(self, resets: int) -> bool:
        return self.resets > resets


@asynccontextmanager
async def listening(
    config: Config, *, protocol: int = 2, subscribe_to: str = change_channel(0), beat_interval: float = 0.2
) -> AsyncIterator[tuple[Bus, Heard]]:
    link = RedisConnection(OneServer(redis_client(config, protocol=protocol)), Breaker())
    subscriber = OneServer(redis_client(config, protocol=protocol, connections=1))
    transport = RedisBusTransport(link, subscriber, channel=subscribe_to)
    bus, heard = Bus(transport, unsequenced=lambda _: None, beat_interval=beat_interval), Heard()
    bus.add(heard)
    async with link.servers, subscriber:
        task = asyncio.create_task(bus.run())
        try:
            yield bus, heard
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("protocol", [2, 3])
async def test_lone_process_becomes_live_and_receives_changes(
    config: Config, cache: RedisVideoCache, protocol: int
) -> None:  # R11
    async with listening(config, protocol=protocol) as (bus, heard):
        await eventually(lambda: bus.is_live)
        video_id = uuid4()
        await cache.invalidate({video_id: 7})
        await eventually(lambda: heard.changes)
        assert heard.changes == [(video_id, 7)]


async def test_stays_live_on_heartbeats_alone(config: Config) -> None:
    async with listening(config) as (bus, heard):
        await eventually(lambda: bus.is_live)
        resets, first = heard.resets, bus.live_until
        await eventually(lambda: bus.live_until > first + 1)
        assert heard.resets == resets


async def test_several_processes_are_live_on_shared_heartbeats(config: Config) -> None:
    async with listening(config) as (one, _), listening(config) as (two, _):
        await eventually(lambda: one.is_live and two.is_live)
        first = one.live_until, two.live_until
        await eventually(lambda: one.live_until > first[0] + 0.5 and two.live_until > first[1] + 0.5)


async def test_killed_subscription_clears_l1(config: Config, link: RedisConnection) -> None:  # R9
    async with listening(config) as (bus, heard):
        for _ in range(3):
            await eventually(lambda: bus.is_live)
            resets = heard.resets
            await link.client.client_kill_filter(_type="pubsub")
            await eventually(partial(heard.more_than, resets))
        await eventually(lambda: bus.is_live)


async def test_sequence_gap_clears_l1(config: Config, link: RedisConnection, cache: RedisVideoCache) -> None:
    async with listening(config) as (bus, heard):
        await eventually(lambda: bus.is_live)
        resets = heard.resets
        await link.client.incr(SEQUENCE_KEY)  # a message that was lost
        await cache.invalidate({uuid4(): 1})
        await eventually(lambda: heard.resets > resets)
        assert bus.is_live


async def test_wrong_channel_is_never_trusted(config: Config, cache: RedisVideoCache) -> None:  # R11
    async with listening(config) as (good, _):
        await eventually(lambda: good.is_live)
        transport_channel = "gostream:0:typo"
        link = RedisConnection(OneServer(redis_client(config)), Breaker())
        async with link.servers, OneServer(redis_client(config, connections=1)) as subscriber:
            transport = RedisBusTransport(link, subscriber, channel=change_channel(0))
            transport._channels = (transport_channel,)
            bus = Bus(transport, unsequenced=lambda _: None, beat_interval=0.1, max_silence=0.5)
            task = asyncio.create_task(bus.run())
            await asyncio.sleep(1.5)
            assert not bus.is_live
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
