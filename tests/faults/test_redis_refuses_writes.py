"""Redis answers reads and refuses writes under API replicas: staleness stays bounded."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from gostream_client import GoStreamError
from gostream_devstack.host.ports import HOST
from gostream_shared.cache.bus.liveness import MAX_SILENCE
from tests.faults.replicas import PATIENCE, Fleet, Replica
from tests.support.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(300)]

#: Commands that make a server refuse writes, and commands that undo them.
REFUSALS = {
    "out of memory": ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
    "too few replicas": ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
    "demoted": (f"REPLICAOF {HOST} 1", "REPLICAOF NO ONE"),
    "no writes by ACL": ("ACL SETUSER default -@write", "ACL SETUSER default +@write"),
    # Heartbeats pass but no video write does, so the replicas' entries seem current.
    "no videos by ACL": (
        "ACL SETUSER default resetkeys ~gostream:* %R~video:*",
        "ACL SETUSER default resetkeys ~*",
    ),
}
GONE = "no such video"


@pytest.fixture
def server(make_redis_server: Callable[..., Any]) -> Any:
    """A server for one test, because its settings outlive a failed test."""
    return make_redis_server()


@pytest.fixture
async def fleet(database_url: str, server: Any, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with Fleet.open(database_url, server, tmp_path) as opened:
        yield opened


async def told(replica: Replica, video_id: UUID) -> str:
    """The title that the replica returns."""
    try:
        return await replica.title(video_id)
    except GoStreamError as error:
        if "not found" in str(error).lower() or "no such" in str(error).lower():
            return GONE
        raise


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_refused_invalidation_is_repaired_within_three_seconds(
    fleet: Fleet, server: Any, refusal: str
) -> None:
    refuse, allow = REFUSALS[refusal]
    replicas = await fleet.start(2)
    changed, deleted = await fleet.new_video("old"), await fleet.new_video("old")
    for replica in replicas:
        await replica.answers(changed, "old", layer="L1")
        await replica.answers(deleted, "old", layer="L1")

    assert server.execute(*refuse.split()).startswith(b"+OK")
    await fleet.change(changed, "new")
    await replicas[0].client.delete_video(str(deleted))
    await asyncio.sleep(MAX_SILENCE)
    until = time.monotonic() + 2
    while time.monotonic() < until:
        for replica in replicas:
            assert await told(replica, changed) == "new"
            assert await told(replica, deleted) == GONE
        await asyncio.sleep(0.1)

    assert server.execute(*allow.split()).startswith(b"+OK")
    await fleet.outbox_is_empty()
    for replica in replicas:
        await replica.answers(changed, "new", layer="L1")
        assert await told(replica, deleted) == GONE


async def test_full_memory_stops_no_invalidation(fleet: Fleet, server: Any) -> None:
    [replica] = await fleet.start(1)
    video_id = await fleet.new_video("old")
    await replica.answers(video_id, "old", layer="L1")
    server.execute("CONFIG", "SET", "maxmemory", "1")
    beats = await replica.metric("gostream_bus_live")

    await fleet.change(video_id, "new")
    await fleet.outbox_is_empty()

    assert await told(replica, video_id) == "new"
    await asyncio.sleep(MAX_SILENCE)
    assert await replica.metric("gostream_bus_live") == beats == 1


async def test_refusals_are_counted_until_they_end(fleet: Fleet, server: Any) -> None:
    [replica] = await fleet.start(1)
    video_id = await fleet.new_video("old")
    server.execute("CONFIG", "SET", "min-replicas-to-write", "1")
    await fleet.change(video_id, "new")

    async def waiting(videos: int) -> bool:
        return await replica.metric("gostream_unannounced_videos") == videos

    await eventually(lambda: waiting(1), timeout=PATIENCE)
    assert await replica.metric("gostream_redis_refused_total", reason="NOREPLICAS") > 0
    server.execute("CONFIG", "SET", "min-replicas-to-write", "0")
    await eventually(lambda: waiting(0), timeout=PATIENCE)


async def test_bus_cut_alone_keeps_redis_in_use(fleet: Fleet) -> None:
    [replica] = await fleet.start(1)
    video_id = await fleet.new_video("title")
    await replica.answers(video_id, "title", layer="L1")
    async with fleet.redis_client() as client:

        async def cut() -> None:
            while True:
                await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]
                await asyncio.sleep(0.01)

        cutting = asyncio.create_task(cut())
        try:
            await asyncio.sleep(MAX_SILENCE)
            await replica.answers(video_id, "title", layer="L2")
        finally:
            cutting.cancel()
            await asyncio.gather(cutting, return_exceptions=True)
