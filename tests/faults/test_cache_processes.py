"""Cache races between processes: API replicas, killed writers, real servers, a faulty network."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest

from gostream.v1.video_service_pb2 import GetVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_client import GoStreamError
from gostream_shared.cache.entries.redis_cache import video_key
from tests.faults.replicas import PATIENCE, Fleet, Replica
from tests.support.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(300)]

WRITER = """
import asyncio, os, signal, sys
from uuid import UUID
from gostream_shared.cache.compose import open_cache
from gostream_shared.config import Config, load
from gostream_shared.db.database import PostgresDatabase

def die():
    os.kill(os.getpid(), signal.SIGKILL)

async def main(point, video_id):
    config = load(Config, os.environ)
    url = config.database_url.get_secret_value()
    async with PostgresDatabase.open(url) as database:
        async with database.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            sql = "UPDATE videos SET title = 'new' WHERE id = $1 RETURNING version"
            version = await connection.fetchval(sql, video_id)
            if point == "before the commit":
                die()
            await transaction.commit()
        if point == "before the invalidation":
            die()
        async with open_cache(config, outbox=database.outbox, subscribe=False) as cache:
            await cache.videos.invalidate({video_id: version})
            die()

asyncio.run(main(sys.argv[1], UUID(sys.argv[2])))
"""


async def killed_writer(fleet: Fleet, point: str, video_id: UUID) -> int:
    environment = {
        "PATH": os.defpath,
        "DATABASE_URL": fleet.database_url,
        "REDIS_HOST": fleet.redis.host,
        "REDIS_PORT": str(fleet.redis.port),
        "REDIS_PASSWORD": fleet.redis.password,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, point, str(video_id), env=environment
    )
    async with asyncio.timeout(PATIENCE):
        return await process.wait()


@pytest.mark.parametrize(
    ("point", "title"),
    [
        ("before the commit", "old"),
        ("before the invalidation", "new"),
        ("before the outbox is settled", "new"),
    ],
)
async def test_killed_writer_leaves_replicas_with_committed_state(
    fleet: Fleet, point: str, title: str
) -> None:
    """R7: the relay of any process announces a killed writer's commit."""
    replicas = await fleet.start(2)
    video_id = await fleet.new_video("old")
    for replica in replicas:
        await replica.answers(video_id, "old", layer="L1")

    assert await killed_writer(fleet, point, video_id) == -signal.SIGKILL

    for replica in replicas:
        await replica.answers(video_id, title, layer="L1")
    await fleet.outbox_is_empty()


async def test_transactions_committing_out_of_order_are_announced(fleet: Fleet) -> None:
    """R7: the outbox row with the lower number becomes visible after the higher one is relayed."""
    [replica] = await fleet.start(1)
    late, early = await fleet.new_video("old"), await fleet.new_video("old")
    for video_id in (late, early):
        await replica.answers(video_id, "old", layer="L1")
    async with fleet.database.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("UPDATE videos SET title = 'new' WHERE id = $1", late)
        await fleet.change(early, "new")
        await replica.answers(early, "new")
        await fleet.outbox_is_empty()
        await transaction.commit()

    await replica.answers(late, "new")


async def test_repeated_bus_kills_leave_no_stale_entry(fleet: Fleet) -> None:
    """R9: the acknowledgement of a new subscription clears entries whose invalidations were lost."""
    replicas = await fleet.start(2)
    videos = [await fleet.new_video("0") for _ in range(10)]
    newest = dict.fromkeys(videos, "0")
    until = time.monotonic() + 8

    async def kill() -> None:
        client = fleet.redis_client()
        while time.monotonic() < until:
            await client.client_kill_filter(_type="pubsub")
            await asyncio.sleep(0.3)
        await client.aclose()

    async def write() -> None:
        number = 0
        async with fleet.writer() as announcer:
            while time.monotonic() < until:
                video_id, number = videos[number % len(videos)], number + 1
                version = await fleet.change(video_id, str(number))
                newest[video_id] = str(number)
                await announcer.announce(video_id, version)

    async def read(replica: Replica) -> None:
        while time.monotonic() < until:
            for video_id in videos:
                await replica.get(video_id)

    await asyncio.gather(kill(), write(), *(read(replica) for replica in replicas for _ in range(3)))
    await asyncio.sleep(3.5)  # the longest undetected silence of the bus

    for replica in replicas:
        assert {video_id: await replica.title(video_id) for video_id in videos} == newest
        assert await replica.metric("gostream_bus_gap_total") > 3, "connections must have been lost"


async def test_frozen_process_dropped_by_redis_serves_fresh(
    make_redis_server: Callable[..., Any], database_url: str, tmp_path: Path
) -> None:
    """R10, R11: the first read after SIGCONT is fresh, and the dropped subscription is restored."""
    redis = await asyncio.to_thread(
        make_redis_server, client_output_buffer_limit="pubsub 32kb 32kb 1", hz="50"
    )
    async with Fleet.open(database_url, redis, tmp_path) as fleet:
        frozen, other = await fleet.start(2)
        video_id = await fleet.new_video("old")
        for replica in (frozen, other):
            await replica.answers(video_id, "old", layer="L1")
        frozen.redis.to_client.hold()  # otherwise the proxy would drain the socket for the frozen process
        frozen.pause()
        await fleet.change(video_id, "new")
        await other.answers(video_id, "new")
        async with asyncio.timeout(PATIENCE):
            while len(await subscribers(fleet)) > 1:
                await fleet.publish(b"x" * 65536)
        await asyncio.sleep(3.5)

        frozen.resume()
        assert await frozen.title(video_id) == "new"
        frozen.redis.to_client.release()
        await frozen.answers(video_id, "new", layer="L1")


async def subscribers(fleet: Fleet) -> list[Any]:
    client = fleet.redis_client()
    try:
        return list(await client.client_list(_type="pubsub"))
    finally:
        await client.aclose()


@pytest.mark.parametrize("eviction", ["DEL", "maxmemory"])
async def test_key_evicted_during_load_loses_its_lease(fleet: Fleet, eviction: str) -> None:
    """R13: without the tombstone Redis has no record of the change and must reject an older load's fill."""
    reader, other = await fleet.start(2)
    client = fleet.redis_client()
    async with fleet.writer() as announcer:
        for _ in range(5):  # a load that is too slow to be stored proves nothing
            video_id = await fleet.new_video("old")
            await client.delete(video_key(video_id))
            reader.database.to_client.hold()
            early = asyncio.create_task(reader.title(video_id))
            await eventually(lambda: reader.database.to_client.held, timeout=PATIENCE)
            await announcer.announce(video_id, await fleet.change(video_id, "new"))
            await evict(client, eviction, video_id)
            reader.database.to_client.release()
            [answer] = await asyncio.gather(early, return_exceptions=True)
            for replica in (reader, other):
                assert await replica.title(video_id) == "new"
            if answer == "old":
                break
        else:
            pytest.fail("the load never overlapped the change")
    await client.aclose()


async def evict(client: Any, how: str, video_id: UUID) -> None:
    if how == "DEL":
        await client.delete(video_key(video_id))
        return
    await client.config_set("maxmemory-policy", "allkeys-random")
    try:
        await client.config_set("maxmemory", 1)
        async with asyncio.timeout(PATIENCE):
            while await client.exists(video_key(video_id)):
                await asyncio.sleep(0.01)
    finally:
        await client.config_set("maxmemory", 0)


async def test_stampede_loads_once_more_if_leader_dies(
    fleet: Fleet,
) -> None:
    """R17: single flight shares a load within a process, the lease between processes until it expires."""
    for _ in range(3):  # on a busy machine a survivor's call may time out before the lease expires
        if (loads := await loads_of_survivors(fleet, await fleet.start(3))) == 1:
            return
    pytest.fail(f"every survivor loads: {loads}")


async def loads_of_survivors(fleet: Fleet, replicas: list[Replica]) -> float:
    video_id = await fleet.new_video("cold")
    await fleet.forget(video_id)
    for replica in replicas:
        replica.database.to_client.hold()
    before = {replica: await replica.metric("gostream_db_loads_total") for replica in replicas}
    callers = [asyncio.create_task(replica.title(video_id)) for replica in replicas for _ in range(100)]
    await eventually(lambda: any(replica.database.to_client.held for replica in replicas), timeout=PATIENCE)
    await asyncio.sleep(0.3)
    leaders = [each for each in replicas if await each.metric("gostream_db_loads_total") > before[each]]
    assert len(leaders) == 1, "one lease, one load"
    leaders[0].process.kill()
    survivors = [replica for replica in replicas if replica not in leaders]
    for replica in survivors:
        replica.database.to_client.release()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert answers.count("cold") == 200
    return sum([await each.metric("gostream_db_loads_total") - before[each] for each in survivors])


async def test_database_outage_serves_expired_not_deleted_videos(fleet: Fleet) -> None:
    """R21: only entries past their TTL are served as `x-cache: STALE`."""
    one, other = await fleet.start(2)
    video_id = await fleet.new_video("kept")
    await one.answers(video_id, "kept")
    await fleet.age(video_id)
    other.database.refuses = True
    other.database.cut()

    stale = await other.get(video_id)
    assert (stale.video.title, stale.x_cache) == ("kept", "STALE")

    await one.client.delete_video(str(video_id))
    with pytest.raises(GoStreamError, match=r"(?i)unavailable|not found"):
        await other.get(video_id)


async def test_psql_update_evicts_every_replica(fleet: Fleet) -> None:
    """R24: the trigger inserts an outbox row for every writer."""
    replicas = await fleet.start(2)
    video_id = await fleet.new_video("old")
    for replica in replicas:
        await replica.answers(video_id, "old", layer="L1")

    await fleet.database.execute("UPDATE videos SET title = 'typed' WHERE id = $1", video_id)
    begun = time.monotonic()
    await asyncio.gather(*(replica.answers(video_id, "typed") for replica in replicas))

    assert time.monotonic() - begun < 20, "must not wait for the entry's TTL"


async def test_change_storm_is_coalesced_without_unread_loads(fleet: Fleet) -> None:
    """R25: 10,000 changes of 20 videos while one of them is read."""
    replicas = await fleet.start(2)
    videos = [await fleet.new_video("calm") for _ in range(20)]
    for video_id in videos:
        await replicas[0].answers(video_id, "calm", layer="L1")
    loads = [await replica.metric("gostream_db_loads_total") for replica in replicas]
    relayed = [await replica.metric("gostream_outbox_relayed_total") for replica in replicas]

    reads = 0
    storm = asyncio.create_task(
        fleet.database.execute(
            """DO $$ BEGIN FOR turn IN 1..500 LOOP
            UPDATE videos SET title = 'turn ' || turn WHERE title <> 'probe'; END LOOP; END $$""",
            timeout=PATIENCE,
        )
    )
    while not storm.done():
        await replicas[0].get(videos[0])
        reads += 1
    await storm
    await replicas[0].answers(videos[0], "turn 500")
    await fleet.outbox_is_empty()

    more = [
        await r.metric("gostream_outbox_relayed_total") - was
        for r, was in zip(replicas, relayed, strict=True)
    ]
    assert 20 <= sum(more) <= 10_000 / 5, f"announced: {more}"
    assert await replicas[1].metric("gostream_db_loads_total") == loads[1], "this replica had no reads"
    for video_id in videos:
        await replicas[0].answers(video_id, "turn 500")


async def test_forged_min_versions_are_refused_without_eviction(fleet: Fleet) -> None:
    """R28: callers share sequential reads of the primary and get FAILED_PRECONDITION.

    On a busy machine the read may time out, which gives UNAVAILABLE.
    """
    [replica] = await fleet.start(1)
    video_id = await fleet.new_video("kept")
    await replica.answers(video_id, "kept", layer="L1")
    before = await replica.metric("gostream_db_loads_total")
    replica.database.to_client.delay = load_time = 0.005
    begun = time.monotonic()
    request = GetVideoRequest(id=str(video_id), min_version=2**62)
    codes: dict[grpc.StatusCode, int] = {}

    async def forge(stub: Any, times: int) -> None:
        for _ in range(times):
            try:
                await stub.GetVideo(request, timeout=PATIENCE)
            except grpc.aio.AioRpcError as error:
                codes[error.code()] = codes.get(error.code(), 0) + 1

    async with grpc.aio.insecure_channel(replica.client.server) as channel:
        await asyncio.gather(*(forge(VideoServiceStub(channel), 200) for _ in range(50)))

    assert sum(codes.values()) == 10_000, "every call must be answered"
    assert set(codes) <= {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAVAILABLE}
    assert codes[grpc.StatusCode.FAILED_PRECONDITION] > 5_000
    assert (await replica.get(video_id)).x_cache == "L1"
    # Sequential loads take at least `load_time` each; concurrent ones would exceed the elapsed time.
    loads = await replica.metric("gostream_db_loads_total") - before
    assert loads * load_time <= time.monotonic() - begun
