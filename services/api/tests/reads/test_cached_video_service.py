"""GetVideo through all layers, with a real Redis, a repository that pauses and a bus that can be cut."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from gostream_api.principal import ANONYMOUS
from gostream_api.reads.cached_video_service import CachedVideoService
from gostream_api.reads.ports import Layer
from gostream_shared.cache.bus.liveness import MAX_SILENCE
from gostream_shared.cache.compose import Cache, open_cache
from gostream_shared.cache.entries.redis_cache import video_key
from gostream_shared.cache.protocol import Filled, Lease
from gostream_shared.config import Config, load
from gostream_shared.domain.errors import (
    BackendUnavailableError,
    VersionNotReachedError,
    VideoNotFoundError,
)
from gostream_shared.domain.video import Video
from tests.support.cache_fakes import FakeEpochs, FakeOutbox
from tests.support.videos import FakeVideos, make_video
from tests.support.waiting import eventually, longest_pause

pytestmark = pytest.mark.stack


@dataclass
class Replica:
    cache: Cache
    videos: CachedVideoService

    async def title(self, video_id: UUID, **options: int) -> str:
        return (await self.videos.get_video(ANONYMOUS, video_id, **options)).reply.payload.decode()

    async def layer(self, video_id: UUID, **options: int) -> Layer:
        return (await self.videos.get_video(ANONYMOUS, video_id, **options)).layer


@pytest.fixture
def config(redis_settings: Any) -> Config:
    return load(
        Config,
        {
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "REDIS_HOST": redis_settings.host,
            "REDIS_PORT": str(redis_settings.port),
            "REDIS_PASSWORD": redis_settings.password,
        },
    )


@pytest.fixture
def database() -> FakeVideos:
    return FakeVideos()


@pytest.fixture
async def replicas(config: Config, database: FakeVideos) -> AsyncIterator[tuple[Replica, Replica]]:
    async with AsyncExitStack() as stack:
        found = []
        epochs = FakeEpochs()
        for _ in range(2):
            cache = await stack.enter_async_context(
                open_cache(config, outbox=FakeOutbox(), epochs=epochs, subscribe=True)
            )
            videos = await stack.enter_async_context(
                CachedVideoService.open(
                    cache, database, encode=lambda video: video.title.encode(), owner_of=lambda _: ""
                )
            )
            found.append(Replica(cache, videos))
        await eventually(lambda: all(replica.videos.is_live for replica in found))
        yield found[0], found[1]


@pytest.fixture
def replica(replicas: tuple[Replica, Replica]) -> Replica:
    return replicas[0]


def write(database: FakeVideos, video: Video, title: str) -> Video:
    return database.put(replace(video, version=video.version + 1, title=title))


async def test_first_read_misses_and_later_reads_hit_l1(
    replicas: tuple[Replica, Replica], database: FakeVideos
) -> None:
    video_id = database.put(make_video()).id
    one, other = replicas
    assert [await one.layer(video_id) for _ in range(3)] == [Layer.MISS, Layer.L1, Layer.L1]
    assert [await other.layer(video_id) for _ in range(2)] == [Layer.L2, Layer.L1]
    assert database.loads == 1


async def test_change_reaches_every_replica(replicas: tuple[Replica, Replica], database: FakeVideos) -> None:
    video = database.put(make_video())
    one, other = replicas
    for replica in replicas:
        await replica.title(video.id)
    write(database, video, "changed")
    await one.cache.announcer.announce(video.id, 2)
    assert await one.title(video.id) == "changed", "a caller reads its own write immediately"

    async def seen() -> bool:
        return await other.title(video.id) == "changed"

    await eventually(seen)


async def test_load_overlapping_a_write_is_not_cached(
    replicas: tuple[Replica, Replica], database: FakeVideos
) -> None:  # R1, R4, R5
    video = database.put(make_video(title="old"))
    one, other = replicas
    database.resume.clear()
    early = asyncio.create_task(one.title(video.id))
    await database.paused.wait()
    write(database, video, "new")
    await other.cache.announcer.announce(video.id, 2)
    database.resume.set()
    assert await early == "old"
    assert await one.title(video.id) == "new"
    assert await other.title(video.id) == "new"


async def test_caller_after_change_never_joins_older_load(
    replica: Replica, database: FakeVideos
) -> None:  # R4
    video = database.put(make_video(title="old"))
    database.resume.clear()
    early = asyncio.create_task(replica.title(video.id))
    await database.paused.wait()
    write(database, video, "new")
    await replica.cache.announcer.announce(video.id, 2)
    late = asyncio.create_task(replica.title(video.id))
    await eventually(lambda: database.loads == 2)
    database.resume.set()
    assert [await early, await late] == ["old", "new"]


async def test_min_version_bypasses_the_caches_once(replica: Replica, database: FakeVideos) -> None:
    video = database.put(make_video())
    await replica.title(video.id)
    write(database, video, "unannounced")
    assert await replica.title(video.id) == video.title
    assert await replica.title(video.id, min_version=2) == "unannounced"
    loads = database.loads
    with pytest.raises(VersionNotReachedError):
        await replica.title(video.id, min_version=2**62)
    assert database.loads == loads + 1
    assert await replica.layer(video.id) is Layer.L1, "a forged version evicts no entry"  # R28


async def test_forged_minimum_versions_share_one_load(replica: Replica, database: FakeVideos) -> None:  # R28
    video = database.put(make_video())
    await replica.title(video.id)
    before = database.loads
    errors = await asyncio.gather(
        *(replica.title(video.id, min_version=2**62) for _ in range(500)), return_exceptions=True
    )
    assert {type(error) for error in errors} == {VersionNotReachedError}
    assert database.loads == before + 1


async def test_absence_is_cached_until_the_video_is_created(
    replicas: tuple[Replica, Replica], database: FakeVideos
) -> None:  # R15
    one, other = replicas
    video_id = uuid4()
    for replica in (one, one, other, other):
        with pytest.raises(VideoNotFoundError):
            await replica.title(video_id)
    assert database.loads == 1
    database.put(make_video(video_id))
    await one.cache.announcer.announce(video_id, 1)
    assert await one.title(video_id) == "a title"


async def test_deleted_video_stays_deleted(replica: Replica, database: FakeVideos) -> None:  # R16
    video = database.put(make_video())
    await replica.title(video.id)
    database.tombstones[video.id] = 2
    await replica.cache.announcer.announce(video.id, 2)
    for _ in range(2):
        with pytest.raises(VideoNotFoundError) as caught:
            await replica.title(video.id)
        assert caught.value.version == 2
    with pytest.raises(VideoNotFoundError):
        await replica.title(video.id, min_version=2)


async def test_database_outage_is_not_cached(replica: Replica, database: FakeVideos) -> None:
    video = database.put(make_video())
    database.down = True
    with pytest.raises(BackendUnavailableError):
        await replica.title(video.id)
    database.down = False
    assert await replica.title(video.id) == video.title


async def test_stale_entry_is_served_until_an_invalidation(
    replica: Replica, database: FakeVideos, redis_server: Any
) -> None:  # R21
    video = database.put(make_video())
    await replica.title(video.id)
    database.down = True
    replica.videos.reset()  # empties L1
    redis_server.execute("HSET", video_key(video.id), "fresh_until", str(await server_ms(redis_server)))
    assert await replica.layer(video.id) is Layer.STALE
    await replica.cache.announcer.announce(video.id, 2)
    with pytest.raises(BackendUnavailableError):
        await replica.title(video.id)


async def server_ms(redis_server: Any) -> int:
    seconds = redis_server.execute("TIME").split(b"\r\n")[2]
    return int(seconds) * 1000


def late_fills() -> float:
    """Number of loads that outlived their lease."""
    return REGISTRY.get_sample_value("gostream_stale_fill_rejected_total", {"reason": Filled.LEASE}) or 0.0


async def loads_in_time(database: FakeVideos, attempt: Callable[[], Awaitable[None]]) -> int:
    """Returns the number of loads of an attempt.

    A stall of the machine can outlast a lease, or look like a silent bus: such attempts are repeated.
    """
    for _ in range(5):
        loads, late = database.loads, late_fills()
        async with longest_pause() as pause:
            await attempt()
        if late_fills() == late and pause() < MAX_SILENCE / 3:
            return database.loads - loads
    pytest.fail("every attempt was stalled")


async def test_cold_video_costs_one_load_for_all_callers(
    replicas: tuple[Replica, Replica], database: FakeVideos
) -> None:  # R17
    async def crowd() -> None:
        video = database.put(make_video())
        database.hold()
        tasks = [asyncio.create_task(replica.title(video.id)) for replica in replicas for _ in range(500)]
        await database.paused.wait()
        await asyncio.sleep(0.1)
        database.resume.set()
        assert set(await asyncio.gather(*tasks)) == {video.title}

    assert await loads_in_time(database, crowd) == 1


async def test_waiters_of_a_dead_leader_share_one_load(
    replicas: tuple[Replica, Replica], database: FakeVideos
) -> None:  # R17
    async def orphans() -> None:
        video = database.put(make_video())
        database.hold()
        lease = await replicas[0].cache.videos.get_or_lease(video.id)
        assert isinstance(lease, Lease)  # the holder never fills it

        tasks = [asyncio.create_task(replica.title(video.id)) for replica in replicas]
        await database.paused.wait()
        await asyncio.sleep(1.0)
        database.resume.set()

        assert set(await asyncio.gather(*tasks)) == {video.title}

    assert await loads_in_time(database, orphans) == 1


async def test_last_of_500_callers_gets_the_value(replica: Replica, database: FakeVideos) -> None:  # R18
    video = database.put(make_video())
    database.resume.clear()
    tasks = [asyncio.create_task(replica.title(video.id)) for _ in range(500)]
    await database.paused.wait()
    for task in tasks[:250] + tasks[251:]:
        task.cancel()
    await asyncio.sleep(0)
    database.resume.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [result for result in results if isinstance(result, str)] == [video.title]
    assert database.loads == 1


@pytest.mark.faults
async def test_reads_stay_correct_through_a_redis_outage(
    replicas: tuple[Replica, Replica], database: FakeVideos, redis_server: Any
) -> None:
    video = database.put(make_video(title="old"))
    for replica in replicas:
        await replica.title(video.id)
    await asyncio.to_thread(redis_server.kill)
    one, other = replicas
    await eventually(lambda: not (one.videos.is_live or other.videos.is_live))
    write(database, video, "new")
    await one.cache.announcer.announce(video.id, 2)
    before = database.loads
    results = await asyncio.gather(*(replica.title(video.id) for replica in replicas for _ in range(200)))
    assert set(results) == {"new"}
    assert database.loads - before == 2, "one load per replica at a time"
    assert await one.layer(video.id) is Layer.BYPASS
    await asyncio.to_thread(redis_server.start)
    await eventually(lambda: one.videos.is_live and other.videos.is_live)


async def test_batch_reads_each_video_from_its_layer(
    replicas: tuple[Replica, Replica], database: FakeVideos
) -> None:
    one, other = replicas
    local, remote, cold = (database.put(make_video(title=title)) for title in ("local", "remote", "cold"))
    missing = uuid4()
    await one.title(local.id)
    await other.title(remote.id)
    loads = database.loads
    reads = await one.videos.get_videos(ANONYMOUS, [local.id, remote.id, cold.id, missing, cold.id])
    assert {key: (read.layer, read.reply.payload) for key, read in reads.items()} == {
        local.id: (Layer.L1, b"local"),
        remote.id: (Layer.L2, b"remote"),
        cold.id: (Layer.MISS, b"cold"),
    }
    assert database.loads == loads + 1
    assert {
        read.layer for read in (await one.videos.get_videos(ANONYMOUS, [remote.id, cold.id])).values()
    } == {Layer.L1}
    assert await other.layer(cold.id) is Layer.L2


async def test_cache_events_are_counted(replica: Replica, database: FakeVideos) -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    before = (
        value("gostream_cache_requests_total", layer="l1", result="hit"),
        value("gostream_db_loads_total"),
    )
    video = database.put(make_video())
    await replica.title(video.id)
    await replica.title(video.id)
    after = value("gostream_cache_requests_total", layer="l1", result="hit"), value("gostream_db_loads_total")
    assert after == (before[0] + 1, before[1] + 1)
    assert value("gostream_bus_live") == 1


async def test_callers_share_json_until_change(replica: Replica, database: FakeVideos) -> None:
    video = database.put(make_video(title="old"))
    other = database.put(make_video(title="other"))
    while replica.videos.peek_replies(ANONYMOUS, [other.id, video.id]) is None:  # after a stall
        await replica.videos.get_videos(ANONYMOUS, [other.id, video.id])
    reply = replica.videos.peek_reply(ANONYMOUS, video.id)
    assert reply is not None
    replica.videos.keep_json(video.id, reply, b"{}")

    assert replica.videos.peek_reply(ANONYMOUS, video.id) is reply
    found = replica.videos.peek_replies(ANONYMOUS, [other.id, video.id]) or []
    assert [each.json for each in found] == [None, b"{}"]
    assert (await replica.videos.get_videos(ANONYMOUS, [video.id]))[video.id].reply is reply

    replica.videos.changed(video.id, 99)
    assert replica.videos.peek_reply(ANONYMOUS, video.id) is None
    assert replica.videos.peek_replies(ANONYMOUS, [other.id, video.id]) is None
    assert (await replica.videos.get_video(ANONYMOUS, video.id)).reply.json is None


async def test_absence_is_peeked_as_missing(replica: Replica) -> None:
    missing = uuid4()
    with pytest.raises(VideoNotFoundError):
        await replica.videos.get_video(ANONYMOUS, missing)

    with pytest.raises(VideoNotFoundError):
        replica.videos.peek_reply(ANONYMOUS, missing)
