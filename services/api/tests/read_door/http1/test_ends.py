"""How HTTP/1.1 connections wait and end: deadlines, clients that leave or do not read, times, drain."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from gostream_api.read_door import backlog
from gostream_api.read_door.http1.connection import Http1Connection
from tests.support.wire.raw_http import request

HOT, COLD = (f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2))
USUAL, SLOW = request(f"/v1/videos/{HOT}"), request(f"/v1/videos/{COLD}")
GRACE = timedelta(seconds=30)


async def wait_until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


def connection_of(started: Any) -> Any:
    """Returns the door's side of its only connection."""
    [connection] = started.door._connections
    assert isinstance(connection, Http1Connection)
    return connection


async def test_miss_waits_for_load(started: Any, dial: Any) -> None:
    client = await dial(started)
    client.send(SLOW)
    await wait_until(lambda: started.reads.waiting)
    started.reads.loaded.set()

    assert (await client.response()).headers["x-cache"] == "MISS"


@pytest.mark.parametrize("leave", ["close", "reset", "half"])
async def test_leaving_client_cancels_its_call(started: Any, dial: Any, leave: str) -> None:
    client = await dial(started)
    client.send(SLOW)
    await wait_until(lambda: started.reads.waiting)
    if leave == "reset":
        client.writer.transport.abort()
    elif leave == "half":
        client.writer.write_eof()
    else:
        client.writer.close()

    await wait_until(lambda: started.reads.cancelled)
    await wait_until(lambda: not started.door._connections)


async def test_late_load_is_a_timeout(start_door: Any, dial: Any) -> None:
    started = await start_door(deadline=0.1)
    client = await dial(started)
    response = await client.ask(SLOW)

    assert (response.status, response.json["code"], started.reads.cancelled) == (504, 4, 1)
    assert (await client.ask(USUAL)).status == 200


@pytest.mark.parametrize(("timeout", "status"), [("50m", 504), ("0n", 504), ("abc", 500), ("99999999H", 200)])
async def test_grpc_timeout_is_honoured(started: Any, dial: Any, timeout: str, status: int) -> None:
    client = await dial(started)
    client.send(request(f"/v1/videos/{COLD}", f"grpc-timeout: {timeout}"))
    if status == 200:
        started.reads.loaded.set()

    assert (await client.response()).status == status


async def test_call_above_limit_is_refused(start_door: Any, dial: Any) -> None:
    started = await start_door(max_calls=1)
    first, second = await dial(started), await dial(started)
    first.send(SLOW)
    await wait_until(lambda: started.reads.waiting)
    response = await second.ask(SLOW)

    assert (response.status, response.json["details"][0]["reason"]) == (429, "TOO_MANY_REQUESTS")


async def test_full_backlog_refuses_calls(started: Any, dial: Any, monkeypatch: Any) -> None:
    client = await dial(started)
    await client.ask(USUAL)
    monkeypatch.setattr(backlog, "MAX_QUEUED_IN_ALL", 0)

    assert (await client.ask(request(f"/v1/videos/{HOT}", "X-Request-Id: a"))).status == 429
    assert (await client.ask(USUAL)).status == 429


@pytest.mark.parametrize("sent", [b"", b"G", b"PRI * HT", USUAL[:-1], b"\r\n\r\nGET /v1/vid"])
async def test_slow_headers_end_connection(start_door: Any, dial: Any, sent: bytes) -> None:
    started = await start_door(handshake=0.2)
    client = await dial(started)
    client.send(sent)
    rest = await client.end()

    assert rest == b"" or rest.startswith(b"HTTP/1.1 408 ")


async def test_dripping_headers_end_connection(start_door: Any, dial: Any) -> None:
    started = await start_door(handshake=0.3)
    client = await dial(started)
    await client.ask(USUAL)
    client.send(USUAL[:-4])
    ending = asyncio.create_task(client.end())
    while not ending.done():
        client.send(b"\r\nX: y")
        await asyncio.sleep(0.02)

    assert (await ending).startswith(b"HTTP/1.1 408 ")


async def test_unused_connection_is_closed(start_door: Any, dial: Any) -> None:
    started = await start_door(idle=0.2)
    client = await dial(started)
    await client.ask(USUAL)

    assert await client.end() == b""


async def test_old_connection_gets_last_answer(start_door: Any, dial: Any) -> None:
    started = await start_door(age=0.2, quiet=60.0)
    client = await dial(started)
    headers: dict[str, str] = {}
    async with asyncio.timeout(30):
        while "connection" not in headers:
            headers = (await client.ask(USUAL)).headers
            await asyncio.sleep(0.01)

    assert headers["connection"] == "close"
    assert await client.end() == b""


@pytest.mark.parametrize("tail", ["", "x" * 100])
async def test_ended_connection_is_not_kept(start_door: Any, dial: Any, tail: str) -> None:
    started = await start_door(linger=0.1)
    client = await dial(started)
    response = await client.ask(request(f"/v1/videos/{HOT}", "Connection: close") + tail.encode())

    assert response.status == 200
    await wait_until(lambda: not started.door._connections)  # the client has not closed its side


async def test_unread_replies_stop_reading(started: Any, dial: Any) -> None:
    started.reads.reply.json = b'"%b"' % (b"x" * 100_000)
    client = await dial(started)
    client.reader._transport.pause_reading()
    client.send(USUAL * 2000)
    await wait_until(lambda: started.door._backlog.size > 256 * 1024)
    served = connection_of(started)._served
    await asyncio.sleep(0.2)

    assert connection_of(started)._served == served < 500
    assert len(connection_of(started)._rest) < 2**20
    client.reader._transport.resume_reading()
    for _ in range(served + 10):
        assert (await client.response()).status == 200
    client.writer.transport.abort()
    await wait_until(lambda: not started.door._connections)
    assert started.door._backlog.size == 0


async def test_stalled_reader_is_dropped(start_door: Any, dial: Any) -> None:
    started = await start_door(stall=0.3)
    started.reads.reply.json = b'"%b"' % (b"x" * 100_000)
    client = await dial(started)
    client.reader._transport.pause_reading()
    client.send(USUAL * 1000)
    await wait_until(lambda: started.door._backlog.size)

    await wait_until(lambda: not started.door._connections)
    assert started.door._backlog.size == 0


async def test_pipelining_is_bounded(started: Any, dial: Any) -> None:
    client = await dial(started)
    await client.ask(USUAL)
    client.send(SLOW)
    await wait_until(lambda: started.reads.waiting)
    client.send(USUAL * 20_000)
    await asyncio.sleep(0.3)
    connection = connection_of(started)

    assert len(connection._rest) < 1024 * 1024
    started.reads.loaded.set()
    for _ in range(1001):
        assert (await client.response()).status == 200


async def test_drain_closes_after_last_answer(started: Any, dial: Any) -> None:
    waiting, active, silent = [await dial(started) for _ in range(3)]
    await active.ask(USUAL)
    waiting.send(SLOW)
    await wait_until(lambda: started.reads.waiting)
    stopping = asyncio.create_task(started.door.stop(GRACE))
    await asyncio.sleep(0.05)
    last = await active.ask(USUAL)
    started.reads.loaded.set()
    response = await waiting.response()

    assert (last.status, last.headers["connection"]) == (200, "close")
    assert (response.status, response.headers["connection"]) == (200, "close")
    assert [await client.end() for client in (waiting, active, silent)] == [b""] * 3
    for client in (waiting, active, silent):
        client.writer.close()
    await stopping


async def test_stop_ends_waits_after_grace(started: Any, dial: Any) -> None:
    client = await dial(started)
    client.send(SLOW)
    await wait_until(lambda: started.reads.waiting)
    await started.door.stop(timedelta(seconds=0.1))

    assert await client.end() == b""
    await wait_until(lambda: started.reads.cancelled)
