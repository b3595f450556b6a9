"""How connections end: age, idleness, dead clients and the stop of the server, without lost calls."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from grpc import aio
from h2 import events
from h2.errors import ErrorCodes

from gostream.v1.video_service_pb2 import GetVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_api.read_door import server
from gostream_api.read_door.http2.frames import ANY_STREAM

HOT, COLD = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
GRACE = timedelta(seconds=30)


async def wait_until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(300):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("limit", ["age", "idle"])
async def test_unused_connection_is_told_to_leave(start_door: Any, connect: Any, limit: str) -> None:
    started = await start_door(**{limit: 0.1}, goaway=0.1)
    client = await connect(started)
    client.ask(1)
    client.send()
    await client.until(events.StreamEnded)

    assert await client.goaway() == ErrorCodes.NO_ERROR


async def test_waiting_call_outlives_age(start_door: Any) -> None:
    started = await start_door(age=0.1, goaway=0.1)
    asking = asyncio.create_task(started.ask(COLD))
    await wait_until(lambda: started.reads.waiting)
    await asyncio.sleep(0.5)

    started.reads.loaded.set()

    assert await asking == started.reads.payload


async def test_age_grace_ends_last_calls(start_door: Any, connect: Any) -> None:
    started = await start_door(age=0.1, age_grace=0.1, goaway=0.05)
    client = await connect(started)
    client.ask(1, COLD)
    client.send()

    await client.closed()

    assert started.reads.cancelled == 1


async def test_idle_limit_spares_waiting_calls(start_door: Any) -> None:
    started = await start_door(idle=0.1)
    asking = asyncio.create_task(started.ask(COLD))
    await asyncio.sleep(0.5)
    started.reads.loaded.set()

    assert await asking == started.reads.payload


async def test_dead_client_is_dropped(start_door: Any, connect: Any) -> None:
    started = await start_door(keepalive=0.1, keepalive_reply=0.1)
    client = await connect(started)
    client.ask(1, COLD)
    client.send()

    await client.closed()  # without an answer to the ping

    assert started.reads.cancelled == 1


async def test_answered_pings_keep_connection(start_door: Any) -> None:
    started = await start_door(keepalive=0.05, keepalive_reply=20.0)
    asking = asyncio.create_task(started.ask(COLD))
    await asyncio.sleep(0.5)
    started.reads.loaded.set()

    assert await asking == started.reads.payload


async def test_drain_refuses_only_later_streams(started: Any, connect: Any) -> None:
    client = await connect(started)
    client.ask(1, COLD)
    client.send()
    await wait_until(lambda: started.reads.waiting)

    client.is_silent = True
    stopping = asyncio.create_task(started.door.stop(GRACE))
    first = await client.until(events.ConnectionTerminated)
    client.ask(3, COLD)
    client.send()  # with the reply to the ping
    second = await client.until(events.ConnectionTerminated)
    client.ask(5)
    client.send()
    refused = await client.until(events.StreamReset)
    started.reads.loaded.set()
    ended = {(await client.until(events.StreamEnded)).stream_id for _ in range(2)}
    await client.closed()
    client.writer.close()
    await stopping

    assert (first.last_stream_id, second.last_stream_id) == (ANY_STREAM, 3)
    assert (refused.stream_id, refused.error_code) == (5, ErrorCodes.REFUSED_STREAM)
    assert ended == {1, 3}


async def test_last_goaway_needs_no_ping_reply(start_door: Any, connect: Any) -> None:
    started = await start_door(goaway=0.1)
    client = await connect(started)
    client.is_silent = True
    client.send()
    await started.ask()

    await started.door.stop(GRACE)

    await client.closed()


async def test_frequent_calls_keep_connection(start_door: Any, connect: Any) -> None:
    started = await start_door(idle=0.5)
    client = await connect(started)
    loop = asyncio.get_running_loop()
    until, number = loop.time() + 1.2, 1
    while loop.time() < until:
        client.ask(number)
        client.send()
        await client.until(events.StreamEnded)
        number += 2

    assert not [event for event in client.seen if isinstance(event, events.ConnectionTerminated)]


async def test_stop_loses_no_call(started: Any, start_door: Any) -> None:
    other = await start_door()
    addresses = f"ipv4:127.0.0.1:{started.port},127.0.0.1:{other.port}"
    failed, answered, is_over = [], 0, False

    async def call_on(stub: Any) -> None:
        nonlocal answered
        while not is_over:
            try:
                await stub.GetVideo(GetVideoRequest(id=HOT), timeout=30)
                answered += 1
            except aio.AioRpcError as error:
                failed.append(error)

    async with aio.insecure_channel(addresses) as channel:
        callers = [asyncio.create_task(call_on(VideoServiceStub(channel))) for _ in range(16)]
        await wait_until(lambda: answered > 200)
        await started.door.stop(GRACE)
        after = answered
        await wait_until(lambda: answered > after + 200)
        is_over = True
        await asyncio.gather(*callers)

    assert failed == []


async def test_stop_ends_waits_after_grace(started: Any) -> None:
    asking = asyncio.create_task(started.ask(COLD))
    await wait_until(lambda: started.reads.waiting)

    await started.door.stop(timedelta(seconds=0.1))

    with pytest.raises(aio.AioRpcError) as caught:
        await asking
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert started.reads.cancelled == 1


async def test_goaway_of_client_loses_no_call(started: Any, connect: Any) -> None:
    client = await connect(started)
    client.ask(1, COLD)
    client.send()
    await wait_until(lambda: started.reads.waiting)
    client.writer.write(b"\0\0\x08\x07\0" + bytes(4) + bytes(8))  # GOAWAY, the last stream is 0
    await asyncio.sleep(0.1)

    started.reads.loaded.set()

    assert (await client.until(events.TrailersReceived)).stream_id == 1
    await client.closed()


async def test_further_connections_are_closed(started: Any, connect: Any, monkeypatch: Any) -> None:
    client = await connect(started)
    client.ask(1)
    client.send()
    await client.until(events.StreamEnded)
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 1)

    with contextlib.suppress(ConnectionError):
        assert await (await connect(started)).reader.read(1) == b""
    client.ask(3)
    client.send()

    assert (await client.until(events.StreamEnded)).stream_id == 3
