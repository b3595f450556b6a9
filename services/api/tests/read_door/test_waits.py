"""Calls that wait for a backend: deadlines, cancellations and the limit of concurrent calls."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc import aio
from h2 import events
from h2.errors import ErrorCodes
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

METHOD = "/gostream.v1.VideoService/GetVideo"
COLD, ABSENT = "00000000-0000-0000-0000-000000000002", "00000000-0000-0000-0000-000000000003"


def handled(code: str) -> float:
    return REGISTRY.get_sample_value("gostream_rpc_handled_total", {"method": METHOD, "code": code}) or 0


async def wait_until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(300):
        while not condition():
            await asyncio.sleep(0.005)


async def test_loaded_reply_reaches_its_client(started: Any) -> None:
    asking = asyncio.create_task(started.ask(COLD))
    await wait_until(lambda: started.reads.waiting)

    started.reads.loaded.set()

    assert await asking == started.reads.payload


async def test_deadline_ends_wait(started: Any) -> None:
    before = handled("DEADLINE_EXCEEDED")

    with pytest.raises(aio.AioRpcError) as caught:
        await started.ask(COLD, timeout=0.1)

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await wait_until(lambda: started.reads.cancelled == 1)
    assert handled("DEADLINE_EXCEEDED") + handled("CANCELLED") > before


async def test_door_enforces_deadline_itself(started: Any, connect: Any) -> None:
    client = await connect(started)
    before = handled("DEADLINE_EXCEEDED")
    client.ask(1, COLD, ("grpc-timeout", "50m"))
    client.send()

    status = dict((await client.until(events.ResponseReceived)).headers)

    assert (status["grpc-status"], status["grpc-message"]) == ("4", "Deadline Exceeded")
    assert started.reads.cancelled == 1
    assert handled("DEADLINE_EXCEEDED") == before + 1


async def test_deadline_of_unfinished_request_expires(started: Any, connect: Any) -> None:
    client = await connect(started)
    client.h2.send_headers(1, client.headers(("grpc-timeout", "50m")))
    client.send()

    assert dict((await client.until(events.ResponseReceived)).headers)["grpc-status"] == "4"
    assert (await client.until(events.StreamReset)).error_code == ErrorCodes.NO_ERROR


async def test_deadline_resets_partly_sent_reply(started: Any, connect: Any) -> None:
    client = await connect(started)
    client.h2.update_settings({4: 0})
    client.ask(1, "00000000-0000-0000-0000-000000000001", ("grpc-timeout", "50m"))
    client.send()

    assert (await client.until(events.StreamReset)).error_code == ErrorCodes.CANCEL


async def test_cancelled_call_ends_wait(started: Any) -> None:
    before = handled("CANCELLED")
    asking = asyncio.create_task(started.ask(COLD))
    await wait_until(lambda: started.reads.waiting)

    asking.cancel()

    await wait_until(lambda: started.reads.cancelled == 1)
    assert handled("CANCELLED") == before + 1


async def test_lost_connection_ends_waits(started: Any, connect: Any) -> None:
    client = await connect(started)
    for number in range(1, 20, 2):
        client.ask(number, COLD)
    client.send()
    await wait_until(lambda: started.reads.waiting == 10)

    client.writer.transport.abort()

    await wait_until(lambda: started.reads.cancelled == 10)


async def test_calls_above_limit_are_refused(start_door: Any) -> None:
    started = await start_door(max_calls=1)
    first = asyncio.create_task(started.ask(COLD))
    await wait_until(lambda: started.reads.waiting)

    with pytest.raises(aio.AioRpcError) as caught:
        await started.ask(COLD)
    hit = await started.ask()
    started.reads.loaded.set()

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "grpc-retry-pushback-ms" in dict(caught.value.trailing_metadata() or ())
    assert hit == await first


async def test_failed_call_logs_one_line(started: Any) -> None:
    logging.getLogger("gostream.rpc").setLevel(logging.INFO)
    with capture_logs() as lines, pytest.raises(aio.AioRpcError) as caught:
        await started.ask(ABSENT, metadata=(("x-request-id", "mine"),))

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert [(line["event"], line["code"]) for line in lines] == [("rpc", "NOT_FOUND")]


async def test_unexpected_error_is_internal(started: Any, monkeypatch: Any) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(started.reads, "get_video", fail)
    with pytest.raises(aio.AioRpcError) as caught:
        await started.ask(COLD)

    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(caught.value.details())
