"""AsyncClient(near_cache=…) over a scripted server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest

from gostream.v1.event_pb2 import Event
from gostream.v1.video_service_pb2 import GetVideoRequest
from gostream_client import AsyncClient, Client, InvalidInputError, NearCounts, UnreachableError
from gostream_client.near import entries
from tests.support.fake_server import VIDEO_ID, ApiServer, Refusal, Video, video
from tests.support.waiting import eventually

SILENCE = Event(resume_token="t0")
HOUR = 3600.0


def changed(version: int) -> Event:
    return Event(id=f"e{version}", video_id=VIDEO_ID, version=version, resume_token=f"t{version}")


def ready(version: int = 1, **fields: Any) -> Video:
    return video(Video.STATUS_READY, version, **fields)


def counts(client: AsyncClient) -> NearCounts:
    found = client.near_cache
    assert found is not None
    return found


async def is_true(condition: Callable[[], bool]) -> None:
    async def so() -> bool:
        return condition()

    await eventually(so, timeout=60)


@pytest.fixture(autouse=True)
def no_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "LAG", 0.0)


class Stream:
    """Tells the client what happens."""

    def __init__(self, server: ApiServer, client: AsyncClient) -> None:
        self.server = server
        self.client = client

    def reads(self) -> int:
        return sum(isinstance(request, GetVideoRequest) for request in self.server.api.requests)


@pytest.fixture
async def near(server: ApiServer) -> AsyncIterator[Stream]:
    """A live cache, whose stream tells of version 2 after half a second."""
    server.api.videos = [ready()]
    server.api.event_streams.append([SILENCE, 0.5, changed(2), HOUR])
    async with AsyncClient(server.address, timeout=60, near_cache=10) as client:
        await is_true(lambda: counts(client).is_live)
        yield Stream(server, client)


async def test_second_read_asks_nobody(near: Stream) -> None:
    first = await near.client.get_video(VIDEO_ID)
    first.title = "altered by the caller"
    second = await near.client.get_video(VIDEO_ID)

    assert (second.title, near.reads()) == ("Holiday", 1)
    assert (counts(near.client).hits, counts(near.client).misses) == (1, 1)


async def test_event_costs_one_read(near: Stream) -> None:
    await near.client.get_video(VIDEO_ID)
    near.server.api.videos = [ready(2)]
    await is_true(lambda: counts(near.client).drops == 1)

    videos = await asyncio.gather(*(near.client.get_video(VIDEO_ID) for _ in range(50)))
    videos[0].title = "altered by one caller"

    assert {each.version for each in videos} == {2}
    assert videos[1].title == "Holiday"
    assert near.reads() == 2


async def test_lagging_replica_is_not_believed(near: Stream) -> None:
    await near.client.get_video(VIDEO_ID)
    await is_true(lambda: counts(near.client).drops == 1)

    for _ in range(2):
        assert (await near.client.get_video(VIDEO_ID)).version == 1  # still the server's answer

    assert (near.reads(), counts(near.client).entries) == (3, 0)


async def test_min_version_passes_over_the_cache(near: Stream) -> None:
    await near.client.get_video(VIDEO_ID)
    near.server.api.videos = [ready(3)]

    assert (await near.client.get_video(VIDEO_ID, min_version=3)).version == 3
    assert (await near.client.get_video(VIDEO_ID, min_version=2)).version == 3
    assert near.reads() == 2


@pytest.mark.parametrize(
    "write",
    [
        lambda client: client.update_video(VIDEO_ID, title="New"),
        lambda client: client.delete_video(VIDEO_ID),
        lambda client: client.trigger_process(VIDEO_ID),
        lambda client: client.cancel_process(VIDEO_ID),
        lambda client: client.undelete_video(VIDEO_ID),
        lambda client: client.revoke_playback(VIDEO_ID),
    ],
)
async def test_own_write_drops_the_entry(near: Stream, write: Any) -> None:
    await near.client.get_video(VIDEO_ID)

    await write(near.client)
    assert counts(near.client).entries == 0
    await near.client.get_video(VIDEO_ID)

    assert near.reads() == 2


async def test_failed_write_drops_the_entry(near: Stream) -> None:
    await near.client.get_video(VIDEO_ID)
    near.server.api.refusals.append(Refusal(grpc.StatusCode.UNAVAILABLE, "gone"))

    with pytest.raises(UnreachableError):
        await near.client.update_video(VIDEO_ID, title="New")

    assert counts(near.client).entries == 0


async def test_unfinished_videos_are_not_kept(near: Stream) -> None:
    near.server.api.videos = [video(Video.STATUS_PROCESSING, 1)]

    for _ in range(2):
        await near.client.get_video(VIDEO_ID)

    assert (near.reads(), counts(near.client).hits) == (2, 0)


async def test_id_in_another_form_is_not_kept(near: Stream) -> None:
    for _ in range(2):
        await near.client.get_video(VIDEO_ID.upper())

    assert (near.reads(), counts(near.client).entries) == (2, 0)


async def test_cancelled_caller_ends_no_other_read(near: Stream) -> None:
    near.server.api.delay = 0.2
    first = asyncio.create_task(near.client.get_video(VIDEO_ID))
    second = asyncio.create_task(near.client.get_video(VIDEO_ID))
    await asyncio.sleep(0.05)
    first.cancel()

    assert (await second).version == 1
    assert near.reads() == 1


async def test_resumed_stream_keeps_the_entries(server: ApiServer) -> None:
    server.api.videos = [ready()]
    broken = Refusal(grpc.StatusCode.UNAVAILABLE, "the connection is too old")
    server.api.event_streams.extend([[SILENCE, 0.3, broken], [Event(resume_token="t1"), HOUR]])
    async with AsyncClient(server.address, timeout=60, near_cache=10) as client:
        await is_true(lambda: counts(client).is_live)
        await client.get_video(VIDEO_ID)
        await is_true(lambda: not server.api.event_streams)
        await client.get_video(VIDEO_ID)

        assert counts(client).hits == 1


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(grpc.StatusCode.UNIMPLEMENTED, "an old server"),
        Refusal(grpc.StatusCode.PERMISSION_DENIED, "no scope", "SCOPE_MISSING"),
    ],
)
async def test_refused_events_only_pass_over_the_cache(server: ApiServer, refusal: Refusal) -> None:
    server.api.videos = [ready()]
    server.api.event_streams.extend([[refusal]] * 9)
    async with AsyncClient(server.address, timeout=60, near_cache=10) as client:
        for _ in range(3):
            assert (await client.get_video(VIDEO_ID)).version == 1

        assert (counts(client).hits, counts(client).is_live) == (0, False)


def test_blocking_client_has_no_near_cache() -> None:
    with pytest.raises(InvalidInputError):
        Client("localhost:1", near_cache=10)
    with pytest.raises(InvalidInputError):
        AsyncClient("localhost:1", near_cache=-1)


async def test_client_without_option_has_none(client: AsyncClient) -> None:
    assert client.near_cache is None


async def test_late_events_end_the_stream(server: ApiServer) -> None:
    server.api.videos = [ready()]
    quick, late = changed(1), changed(1)
    quick.create_time.FromSeconds(2_000_000_000)
    late.create_time.FromSeconds(2_000_000_000 - 60)
    server.api.event_streams.extend([[SILENCE, quick, 0.5, late, HOUR], [SILENCE, HOUR]])
    async with AsyncClient(server.address, timeout=60, near_cache=10) as client:
        await is_true(lambda: counts(client).is_live)
        await client.get_video(VIDEO_ID)
        await is_true(lambda: counts(client).entries == 0)
        await is_true(lambda: not server.api.event_streams and counts(client).is_live)


async def test_loop_of_hits_lets_the_stream_run(near: Stream) -> None:
    near.server.api.videos = [ready(2)]
    async with asyncio.timeout(60):
        while counts(near.client).hits < 10 or near.reads() < 1:
            await near.client.get_video(VIDEO_ID)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    for _ in range(320):
        await near.client.get_video(VIDEO_ID)
    turning.cancel()

    assert turns >= 5
