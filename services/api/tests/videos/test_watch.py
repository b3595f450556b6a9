"""WatchVideo: states, their order, and the end of a stream."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import grpc
import pytest
from grpc import aio

from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import CreateVideoRequest, DeleteVideoRequest, WatchVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_api.principal import ANONYMOUS
from gostream_api.rpc.server import ApiServer
from gostream_api.rpc.servicer import VideoServicer, method_handlers
from gostream_api.rpc.validation import SizeRule
from gostream_api.videos.watch import Snapshot, WatchService
from gostream_devstack.servers.valkey import Valkey
from gostream_shared.cache.bus.watchers import Watchers
from gostream_shared.cache.compose import open_cache
from gostream_shared.config import Config, load
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.encode import Encode, Progress
from gostream_shared.domain.errors import ServerStoppingError, VideoNotFoundError
from gostream_shared.domain.repositories import NewVideo
from gostream_shared.domain.video import Failure, VideoStatus

FAILURE = Failure(code="SOURCE_EMPTY", message="The upload is empty.", retryable=False, stage="probing")
HEARTBEAT = 30.0  # longer than any of these tests


class CountedWatchers(Watchers):
    """The bus's watchers, with a count of subscribers."""

    def __init__(self) -> None:
        super().__init__()
        self.subscribed = 0

    @asynccontextmanager
    async def subscribe(self, video_id: UUID) -> AsyncIterator[Any]:
        async with super().subscribe(video_id) as subscription:
            self.subscribed += 1
            try:
                yield subscription
            finally:
                self.subscribed -= 1


@pytest.fixture
def events() -> CountedWatchers:
    return CountedWatchers()


@pytest.fixture
def watches(database: PostgresDatabase, events: CountedWatchers) -> WatchService:
    return WatchService(database=database, events=events, heartbeat=HEARTBEAT)


@pytest.fixture
async def encode(database: PostgresDatabase) -> Encode:
    """The first attempt at a video's first encode."""
    new = NewVideo(id=uuid4(), user_id="", title="Holiday", content_type="video/mp4")
    await database.videos.create(new)
    await database.encodes.start_encode(new.id, profile="default")
    return await database.encodes.begin_attempt(new.id, 1, worker="w1")


def encoding(percent: float) -> Progress:
    return Progress(stage="encoding", percent=percent)


async def following(stream: AsyncGenerator[Snapshot, None]) -> Snapshot:
    async with asyncio.timeout(300):
        return await anext(stream)


def percent(snapshot: Snapshot) -> float:
    assert snapshot.progress is not None
    return snapshot.progress.percent


async def test_watch_starts_with_the_database_state(
    watches: WatchService, database: PostgresDatabase, encode: Encode
) -> None:
    await database.encodes.report_progress(encode, encoding(40))

    first = await following(watches.watch(ANONYMOUS, encode.video_id))

    assert first == Snapshot(await database.videos.get(encode.video_id), encoding(40))


async def test_watch_of_a_finished_video_ends_immediately(
    watches: WatchService, database: PostgresDatabase, encode: Encode
) -> None:
    await database.encodes.mark_video_failed(encode, FAILURE)

    seen = [snapshot.video.status async for snapshot in watches.watch(ANONYMOUS, encode.video_id)]
    assert seen == [VideoStatus.FAILED]


async def test_slow_reader_never_misses_the_final_state(
    watches: WatchService, database: PostgresDatabase, events: CountedWatchers, encode: Encode
) -> None:
    stream = watches.watch(ANONYMOUS, encode.video_id)
    await following(stream)
    for step in range(1000):
        events.progressed(encode, encoding(step / 10))
    failed = await database.encodes.mark_video_failed(encode, FAILURE)
    events.changed(encode.video_id, failed.version)

    rest = [snapshot async for snapshot in stream]

    assert [snapshot.video.status for snapshot in rest] == [VideoStatus.FAILED]


async def test_percent_never_falls_within_an_encode(
    watches: WatchService, database: PostgresDatabase, events: CountedWatchers, encode: Encode
) -> None:
    stream = watches.watch(ANONYMOUS, encode.video_id)
    seen = [percent(await following(stream))]
    for step in (10.0, 60.0, 59.0, 61.0):  # 59 arrives late
        events.progressed(encode, encoding(step))
        if step != 59.0:
            seen.append(percent(await following(stream)))
    second = await database.encodes.begin_attempt(encode.video_id, 1, worker="w2")
    for step in (0.0, 5.0, 70.0):  # the second attempt restarts at zero
        events.progressed(second, Progress(stage="fetching" if step == 0 else "encoding", percent=step))
        snapshot = await following(stream)
        seen.append(percent(snapshot))

    assert seen == sorted(seen)
    assert seen[-1] == 70.0


async def test_new_attempt_reports_its_own_stage(
    watches: WatchService, events: CountedWatchers, encode: Encode
) -> None:
    stream = watches.watch(ANONYMOUS, encode.video_id)
    await following(stream)
    events.progressed(encode, encoding(60))
    await following(stream)

    events.progressed(
        Encode(video_id=encode.video_id, number=1, attempt=2), Progress(stage="fetching", percent=1)
    )
    events.progressed(
        Encode(video_id=encode.video_id, number=1, attempt=2), Progress(stage="probing", percent=2)
    )
    snapshot = await following(stream)

    assert snapshot.progress == Progress(stage="probing", percent=60)


async def test_next_encode_starts_at_zero_percent(
    watches: WatchService, database: PostgresDatabase, events: CountedWatchers, encode: Encode
) -> None:
    stream = watches.watch(ANONYMOUS, encode.video_id)
    await following(stream)
    events.progressed(encode, encoding(60))
    await following(stream)
    await database.encodes.mark_video_failed(encode, FAILURE)
    await database.encodes.start_encode(encode.video_id, profile="default")
    events.progressed(encode, encoding(99))  # a late report
    events.changed(encode.video_id, 99)

    snapshot = await following(stream)

    assert (snapshot.video.encode_number, percent(snapshot)) == (2, 0)


async def test_database_is_polled_after_a_gap(
    watches: WatchService, database: PostgresDatabase, events: CountedWatchers, encode: Encode
) -> None:
    stream = watches.watch(ANONYMOUS, encode.video_id)
    await following(stream)
    events.reset()
    for step in (10.0, 20.0):
        await database.encodes.report_progress(encode, encoding(step))
        assert percent(await following(stream)) == step
    await database.encodes.mark_video_failed(encode, FAILURE)  # without an announcement

    assert (await following(stream)).video.status is VideoStatus.FAILED


async def test_bus_outage_causes_no_query_storm(
    watches: WatchService, database: PostgresDatabase, events: CountedWatchers, encode: Encode
) -> None:
    before = await selects(database)
    stream = watches.watch(ANONYMOUS, encode.video_id)
    await following(stream)
    waiting = asyncio.ensure_future(anext(stream))
    for _ in range(60):
        events.reset()
        await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert await selects(database) - before < 20  # two per poll, one poll per second


async def test_changes_are_seen_despite_repeated_gaps(
    watches: WatchService, database: PostgresDatabase, events: CountedWatchers, encode: Encode
) -> None:
    async def keep_failing() -> None:
        while True:
            events.reset()
            await asyncio.sleep(0.05)

    failing = asyncio.ensure_future(keep_failing())
    stream = watches.watch(ANONYMOUS, encode.video_id)
    await following(stream)
    await database.encodes.report_progress(encode, encoding(10))

    assert percent(await following(stream)) == 10
    failing.cancel()


async def selects(database: PostgresDatabase) -> int:
    """Number of reads of videos by key."""
    await database.pool.execute("SELECT pg_stat_force_next_flush()")
    count: int = await database.pool.fetchval(
        "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'videos_pkey'"
    )
    return count


async def test_idle_watch_sends_heartbeats(
    database: PostgresDatabase, events: CountedWatchers, encode: Encode
) -> None:
    stream = WatchService(database=database, events=events, heartbeat=0.2).watch(ANONYMOUS, encode.video_id)

    first, second = await following(stream), await following(stream)

    assert first == second


async def test_watch_of_a_deleted_video_ends_not_found(
    watches: WatchService, database: PostgresDatabase, events: CountedWatchers, encode: Encode
) -> None:
    stream = watches.watch(ANONYMOUS, encode.video_id)
    await following(stream)
    version = await database.videos.delete(encode.video_id)
    events.changed(encode.video_id, version)

    with pytest.raises(VideoNotFoundError):
        await following(stream)


async def test_stopping_ends_open_and_later_watches(
    watches: WatchService, encode: Encode, events: CountedWatchers
) -> None:
    streams = [watches.watch(ANONYMOUS, encode.video_id) for _ in range(3)]
    for stream in streams:
        await following(stream)
    waiting = [asyncio.ensure_future(anext(stream)) for stream in streams]
    await asyncio.sleep(0)

    watches.stop()
    ends = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 60)

    assert [type(end) for end in ends] == [ServerStoppingError] * 3
    assert events.subscribed == 0
    late = watches.watch(ANONYMOUS, encode.video_id)
    await following(late)
    with pytest.raises(ServerStoppingError):
        await following(late)


# Over the wire, with the real bus.


async def created(api: Any) -> str:
    video_id: str = (await api.stub.CreateVideo(CreateVideoRequest(title="Holiday", size_bytes=4))).video.id
    return video_id


async def read(call: Any) -> Any:
    async with asyncio.timeout(300):
        return await call.read()


async def test_client_follows_a_video_to_its_end(
    api: Any, database: PostgresDatabase, environment: dict[str, str]
) -> None:
    await api.warm()  # messages before the subscription are lost
    video_id = await created(api)
    call = api.stub.WatchVideo(WatchVideoRequest(id=video_id))
    seen = [await read(call)]
    config = load(Config, environment)

    async with open_cache(config, outbox=database.outbox, subscribe=False) as worker:
        await database.encodes.start_encode(UUID(video_id), profile="default")  # announced by the relay
        seen.append(await read(call))
        encode = await database.encodes.begin_attempt(UUID(video_id), 1, worker="w")
        await worker.announcer.announce(encode.video_id, 3)
        seen.append(await read(call))
        await worker.progress.publish(
            encode, Progress(stage="encoding", percent=42, eta=timedelta(seconds=7))
        )
        while seen[-1].processing.percent != 42:
            seen.append(await read(call))
        failed = await database.encodes.mark_video_failed(encode, FAILURE)
        await worker.announcer.announce(encode.video_id, failed.version)
        while (message := await read(call)) is not aio.EOF:
            seen.append(message)

    statuses = list(dict.fromkeys(message.status for message in seen))
    assert statuses == [Video.STATUS_PENDING_UPLOAD, Video.STATUS_PROCESSING, Video.STATUS_FAILED]
    assert seen[1].processing.stage == "queued"
    encoding_message = next(message for message in seen if message.processing.percent == 42)
    assert encoding_message.processing.eta.seconds == 7
    assert not seen[-1].HasField("processing")
    assert await call.code() == grpc.StatusCode.OK


async def test_watch_continues_during_a_redis_outage(
    api: Any, database: PostgresDatabase, redis_server: Valkey
) -> None:
    video_id = await created(api)
    call = api.stub.WatchVideo(WatchVideoRequest(id=video_id))
    await read(call)
    redis_server.stop()

    await database.encodes.start_encode(UUID(video_id), profile="default")
    message = await read(call)
    while message.status != Video.STATUS_PROCESSING:
        message = await read(call)
    encode = await database.encodes.begin_attempt(UUID(video_id), 1, worker="w")
    await database.encodes.report_progress(encode, encoding(33))
    while message.processing.percent != 33:
        message = await read(call)


async def test_client_sees_the_deletion_of_its_video(api: Any, refused: Any) -> None:
    video_id = await created(api)
    call = api.stub.WatchVideo(WatchVideoRequest(id=video_id))
    await read(call)

    await api.stub.DeleteVideo(DeleteVideoRequest(id=video_id))

    assert (await refused(read(call))).reason == "VIDEO_NOT_FOUND"


async def test_stopping_server_ends_watches_as_unavailable(api: Any, refused: Any) -> None:
    call = api.stub.WatchVideo(WatchVideoRequest(id=await created(api)))
    await read(call)

    stopping = asyncio.ensure_future(api.server.stop(delay=timedelta(0), grace=timedelta(seconds=10)))
    refusal = await refused(read(call))
    await stopping

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")


async def test_only_watches_above_the_limit_are_refused(
    start_api: Callable[..., Awaitable[Any]], refused: Any
) -> None:
    api = await start_api(MAX_WATCHES="1")
    video_id = await created(api)
    call = api.stub.WatchVideo(WatchVideoRequest(id=video_id))
    await read(call)

    refusal = await refused(read(api.stub.WatchVideo(WatchVideoRequest(id=video_id))))
    await created(api)
    call.cancel()

    assert refusal.reason == "TOO_MANY_REQUESTS"


async def test_departed_client_leaves_no_watch(
    watches: WatchService, events: CountedWatchers, encode: Encode, eventually: Any
) -> None:
    async def nobody_is_subscribed() -> bool:
        return events.subscribed == 0

    none, sizes = cast("Any", None), SizeRule(most=1, required=True)
    unused = dict.fromkeys(("videos", "deletions", "ingest", "reads", "playback"), none)
    servicer = VideoServicer(**unused, watches=watches, cdn_base_url="", sizes=sizes)
    server = ApiServer(method_handlers(servicer), watches, max_calls=1, max_streams=3)
    port = await server.start("127.0.0.1", 0)
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        request = WatchVideoRequest(id=str(encode.video_id))
        calls: list[Any] = [VideoServiceStub(channel).WatchVideo(request) for _ in range(3)]
        for call in calls:
            await read(call)
        assert events.subscribed == 3
        for call in calls:
            call.cancel()
        await eventually(nobody_is_subscribed)
        again: Any = VideoServiceStub(channel).WatchVideo(request)
        await read(again)  # a slot is free again
    await server.stop(delay=timedelta(0), grace=timedelta(0))
