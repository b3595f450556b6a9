"""Progress reaches the processes in which somebody watches the video, and no other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest

from gostream_shared.cache.bus.progress import progress_channel
from gostream_shared.cache.compose import Cache, open_cache
from gostream_shared.cache.redis_connection import RedisConnection
from gostream_shared.config import Config
from gostream_shared.domain.encode import Encode, Progress
from tests.support.cache_fakes import FakeEpochs, FakeOutbox
from tests.support.waiting import eventually

pytestmark = pytest.mark.stack


@dataclass
class Process:
    """One process that listens, and every message of its bus that is not numbered."""

    cache: Cache
    heard: list[str] = field(default_factory=list)


@pytest.fixture
async def processes(config: Config, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(3):
            cache = await stack.enter_async_context(
                open_cache(config, outbox=FakeOutbox(), epochs=FakeEpochs(), subscribe=True)
            )
            process, tell = Process(cache), cache.bus._unsequenced

            def hear(text: str, process: Process = process, tell: Any = tell) -> None:
                process.heard.append(text)
                tell(text)

            cache.bus._unsequenced = hear
            found.append(process)
        await eventually(lambda: all(process.cache.bus.is_live for process in found))
        yield found


async def publish(process: Process, video_id: UUID, percent: float) -> None:
    encode = Encode(video_id=video_id, number=1, attempt=1)
    await process.cache.progress.publish(encode, Progress(stage="encoding", percent=percent))


async def listeners(link: RedisConnection, video_id: UUID) -> int:
    async with asyncio.timeout(60):
        [(_, count)] = await link.servers.at(
            "any", lambda client: client.pubsub_numsub(progress_channel(0, video_id))
        )
    return int(count)


async def test_progress_is_heard_only_where_watched(processes: list[Process], link: RedisConnection) -> None:
    one, other, writer = processes
    seen, unseen = uuid4(), uuid4()

    async def count() -> int:
        return await listeners(link, seen)

    async with one.cache.events.subscribe(seen) as watch, one.cache.events.subscribe(seen):
        await eventually(lambda: _is(count(), 1))
        for video_id in (unseen, seen):
            await publish(writer, video_id, 50.0)
        update = await watch.wait(300)
        assert update.progress is not None
        assert update.progress[1].percent == 50.0
    await eventually(lambda: _is(count(), 0))
    assert [len(process.heard) for process in processes] == [1, 0, 0]
    assert other.heard == []


async def test_watches_are_followed_after_a_reconnection(
    processes: list[Process], link: RedisConnection
) -> None:
    one, _, writer = processes
    video_id = uuid4()
    async with one.cache.events.subscribe(video_id) as watch:
        await eventually(lambda: _is(listeners(link, video_id), 1))
        await link.servers.at("any", lambda client: client.client_kill_filter(_type="pubsub"))
        # Repeated as a worker does: the driver subscribes on a connection that the bus then closes unread,
        # so a listener that Redis counts may still miss a message.
        async with asyncio.timeout(300):
            while True:
                await publish(writer, video_id, 60.0)
                update = await watch.wait(0.1)
                if update.progress is not None:
                    break


async def _is(found: Any, expected: int) -> bool:
    return bool(await found == expected)
