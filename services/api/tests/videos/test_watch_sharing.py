"""Watchers of one video share database reads."""

import asyncio
from collections.abc import AsyncGenerator
from uuid import UUID, uuid4

import pytest

from gostream_api.principal import ANONYMOUS
from gostream_api.videos.watch import Snapshot, WatchService
from gostream_shared.cache.bus.watchers import Watchers
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.repositories import NewVideo
from gostream_shared.domain.video import Video

WATCHERS = 40


@pytest.fixture
async def encode(database: PostgresDatabase) -> Encode:
    new = NewVideo(id=uuid4(), user_id="", title="Holiday", content_type="video/mp4")
    await database.videos.create(new)
    await database.encodes.start_encode(new.id, profile="default")
    return await database.encodes.begin_attempt(new.id, 1, worker="w1")


@pytest.fixture
def reads(database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """Ids of the videos read, in order. Each read lasts long enough for other watchers to arrive."""
    found: list[UUID] = []
    get = database.videos.get

    async def counted(video_id: UUID) -> Video:
        found.append(video_id)
        video = await get(video_id)
        await asyncio.sleep(0.01)
        return video

    monkeypatch.setattr(database.videos, "get", counted)
    return found


async def all_next(streams: list[AsyncGenerator[Snapshot, None]]) -> list[Snapshot]:
    async with asyncio.timeout(300):
        return await asyncio.gather(*(anext(stream) for stream in streams))


async def test_watchers_of_one_video_share_reads(
    database: PostgresDatabase, encode: Encode, reads: list[UUID]
) -> None:
    events = Watchers()
    watches = WatchService(database=database, events=events, heartbeat=30)
    streams = [watches.watch(ANONYMOUS, encode.video_id) for _ in range(WATCHERS)]
    await all_next(streams)
    assert len(reads) == 2, "the first read, and one that starts after all other watchers"
    waiting = asyncio.ensure_future(all_next(streams))
    await asyncio.sleep(0)
    version = await database.encodes.cancel(encode.video_id)
    events.changed(encode.video_id, version.version)

    changed = await waiting

    assert {snapshot.video.version for snapshot in changed} == {version.version}
    assert len(reads) == 4


@pytest.mark.slow
async def test_heartbeats_of_one_video_share_reads(
    database: PostgresDatabase, encode: Encode, reads: list[UUID]
) -> None:
    watches, beats = WatchService(database=database, events=Watchers(), heartbeat=1.0), 3

    async def follow(stream: AsyncGenerator[Snapshot, None]) -> None:
        for _ in range(beats):
            await anext(stream)

    streams = [watches.watch(ANONYMOUS, encode.video_id) for _ in range(WATCHERS)]
    following = []
    for stream in streams:  # watchers start at different times
        await all_next([stream])
        following.append(asyncio.create_task(follow(stream)))
    reads.clear()
    async with asyncio.timeout(300):
        await asyncio.gather(*following)

    assert len(reads) < beats * WATCHERS / 3


async def test_change_during_a_read_is_seen(database: PostgresDatabase, encode: Encode) -> None:
    """A watcher that starts during a read does not get the result of that read."""
    watches = WatchService(database=database, events=Watchers(), heartbeat=30)
    get, looked, go_on = database.videos.get, asyncio.Event(), asyncio.Event()

    async def slow(video_id: UUID, *, owner: str | None = None) -> Video:
        video = await get(video_id, owner=owner)
        looked.set()
        await go_on.wait()
        return video

    database.videos.get = slow  # type: ignore[method-assign]
    early, late = (watches.watch(ANONYMOUS, encode.video_id) for _ in range(2))
    first = asyncio.ensure_future(anext(early))
    await looked.wait()
    changed = await database.encodes.cancel(encode.video_id)
    second = asyncio.ensure_future(anext(late))
    await asyncio.sleep(0)
    go_on.set()

    assert (await first).video.version < changed.version
    assert (await second).video.version == changed.version
    await early.aclose()
    await late.aclose()
