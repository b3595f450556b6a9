"""The cache over a Redis Cluster of three nodes: batches, moved slots, failovers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import pytest
from redis.crc import key_slot
from redis.exceptions import ConnectionError

from gostream_devstack.servers.valkey import Valkey
from gostream_shared.cache.breaker import Breaker
from gostream_shared.cache.bus.bus import Bus
from gostream_shared.cache.bus.redis_transport import BEAT_KEY, RedisBusTransport
from gostream_shared.cache.driver.cluster import Cluster, Slots
from gostream_shared.cache.entries.epoch import EpochState
from gostream_shared.cache.entries.redis_cache import (
    SEQUENCE_KEY,
    CacheTimes,
    RedisVideoCache,
    change_channel,
    video_key,
)
from gostream_shared.cache.protocol import CacheUnavailableError, Entry, Fill, Filled, Hit, Lease
from gostream_shared.cache.redis_connection import RedisConnection, open_servers
from gostream_shared.config import Config, load
from tests.support.servers.redis_topologies import Nodes
from tests.support.videos import make_video
from tests.support.waiting import eventually

pytestmark = pytest.mark.stack
VIDEOS = [uuid4() for _ in range(60)]


@pytest.fixture
def nodes(make_redis_cluster: Callable[..., Nodes]) -> Nodes:
    return make_redis_cluster()


def config_of(nodes: Nodes) -> Config:
    return load(Config, {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x", **nodes.environment})


@pytest.fixture
async def link(nodes: Nodes) -> AsyncIterator[RedisConnection]:
    link = RedisConnection(open_servers(config_of(nodes)), Breaker())
    async with link.servers:
        yield link


@pytest.fixture
def cache(link: RedisConnection, patience: None) -> RedisVideoCache:
    times = CacheTimes(lease=60)
    return RedisVideoCache(link, channel=change_channel(0), epoch_state=EpochState(1), times=times)


def entry(video_id: UUID, version: int) -> Entry:
    return Entry(version, make_video(video_id, version=version), b"reply %d" % version)


async def stored(cache: RedisVideoCache, version: int = 1) -> None:
    """Fills every video."""
    leases = await cache.get_or_lease_many(VIDEOS, [0] * len(VIDEOS))
    fills = {
        video_id: Fill(lease.token, entry(video_id, version))
        for video_id, lease in leases.items()
        if isinstance(lease, Lease)
    }
    assert len(fills) == len(VIDEOS)
    assert set((await cache.fill_many(fills)).values()) == {Filled.OK}


async def versions(cache: RedisVideoCache) -> list[int | None]:
    found = await cache.get_or_lease_many(VIDEOS, [0] * len(VIDEOS))
    return [each.entry.version if isinstance(each, Hit) else None for each in found.values()]


async def test_batch_over_every_node_keeps_its_order(cache: RedisVideoCache, nodes: Nodes) -> None:
    await stored(cache)

    found = await cache.get_or_lease_many(VIDEOS, [0] * len(VIDEOS))

    assert list(found) == VIDEOS
    assert await versions(cache) == [1] * len(VIDEOS)
    assert len({nodes.owner(video_key(each)).port for each in VIDEOS}) == 3


async def test_invalidation_raises_every_floor(cache: RedisVideoCache) -> None:
    await stored(cache)

    await cache.invalidate(dict.fromkeys(VIDEOS, 2))

    assert await versions(cache) == [None] * len(VIDEOS)


async def test_sequence_and_beat_share_a_slot() -> None:
    assert key_slot(SEQUENCE_KEY.encode()) == key_slot(BEAT_KEY.encode())


async def test_changes_are_heard_from_every_node(
    cache: RedisVideoCache, link: RedisConnection, nodes: Nodes
) -> None:
    heard: list[tuple[UUID, int]] = []

    class Heard:
        def changed(self, video_id: UUID, version: int) -> None:
            heard.append((video_id, version))

        def reset(self) -> None:
            pass

    async with open_servers(config_of(nodes), connections=1) as subscriber:
        transport = RedisBusTransport(link, subscriber, channel=change_channel(0))
        bus = Bus(transport, unsequenced=lambda _: None, beat_interval=0.2)
        bus.add(Heard())
        running = asyncio.create_task(bus.run())
        try:
            await eventually(lambda: bus.is_live)
            await cache.invalidate(dict.fromkeys(VIDEOS, 7))
            await eventually(lambda: len(heard) >= len(VIDEOS))
        finally:
            running.cancel()
            await asyncio.wait([running])
    assert sorted(heard) == sorted((each, 7) for each in VIDEOS)


async def move_slot(nodes: Nodes, key: str, *, finish: bool) -> tuple[Valkey, Valkey]:
    """Moves the slot of a key to another node; without `finish`, the move stays in progress."""
    slot, source = str(key_slot(key.encode())), nodes.owner(key)
    target = next(each for each in nodes.nodes if each is not source)
    names = {each: each.execute("CLUSTER", "MYID").split(b"\r\n")[1].decode() for each in nodes.nodes}
    assert b"+OK" in target.execute("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
    assert b"+OK" in source.execute("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
    place = (target.host, str(target.port), key, "0", "1000", "AUTH", target.password)
    source.execute("MIGRATE", *place)
    if finish:
        for node in (target, source, *nodes.nodes):
            node.execute("CLUSTER", "SETSLOT", slot, "NODE", names[target])
    return source, target


@pytest.mark.parametrize("finish", [True, False])
async def test_moved_slot_is_followed(cache: RedisVideoCache, nodes: Nodes, finish: bool) -> None:
    await stored(cache)
    key = video_key(VIDEOS[0])

    _, target = await move_slot(nodes, key, finish=finish)

    assert isinstance(await cache.get_or_lease(VIDEOS[0]), Hit)  # by MOVED or by ASK
    assert await versions(cache) == [1] * len(VIDEOS)
    await cache.invalidate({VIDEOS[0]: 2, VIDEOS[1]: 2})
    assert isinstance(await cache.get_or_lease(VIDEOS[0]), Lease)
    if finish:
        assert b"2" in target.execute("HGET", key, "floor")


async def test_identity_names_every_primary(link: RedisConnection, nodes: Nodes) -> None:
    assert len((await link.server()).split(",")) == 3
    before = await link.server()

    nodes.nodes[1].stop()
    with pytest.raises(CacheUnavailableError):
        await link.server()
    nodes.nodes[1].start()

    async def changed() -> bool:
        try:
            return await link.server() != before
        except CacheUnavailableError:
            return False

    await eventually(changed)


async def test_unreachable_seed_is_skipped(nodes: Nodes) -> None:
    url = nodes.url.replace(f":{nodes.nodes[0].port},", ":1,")
    config = load(Config, {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "REDIS_URL": url})

    async with open_servers(config) as servers:
        assert (await servers.identity()).count(",") == 2


async def test_single_server_is_no_cluster(redis_server: Valkey) -> None:
    url = f"redis+cluster://:{redis_server.password}@{redis_server.host}:{redis_server.port}"
    config = load(Config, {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "REDIS_URL": url})

    async with open_servers(config) as servers:
        with pytest.raises(Exception, match="cluster support disabled"):
            await servers.identity()


def test_slot_without_a_node_is_an_outage() -> None:
    slots = Slots([(0, 10, ("a", 1)), (20, 30, ("b", 2))])

    assert [slots.owner(each) for each in (0, 10, 20, 30)] == [("a", 1), ("a", 1), ("b", 2), ("b", 2)]
    for missing in (11, 19, 31):
        with pytest.raises(ConnectionError, match="no node"):
            slots.owner(missing)


async def test_silent_nodes_are_asked_in_turn() -> None:
    asked = []

    def ask(address: tuple[str, int]) -> None:
        asked.append(address)
        raise ConnectionError("down")

    seeds = [("a", 1), ("b", 2)]
    cluster = Cluster(seeds, open_node=ask, ask=ask)  # type: ignore[arg-type]
    with pytest.raises(ConnectionError, match="no node of the cluster tells its slots: down"):
        await cluster.owner("key")
    assert asked == seeds
