"""Both clients follow events across broken streams, each from the token of the last message."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, closing
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from gostream.v1.event_pb2 import Event
from gostream_client import AsyncClient, Client, ResumeTokenExpiredError, UnreachableError
from gostream_client.watch import MAX_FAILURES
from tests.support.fake_server import ApiServer, Refusal

GONE = Refusal(grpc.StatusCode.UNAVAILABLE, "the server is stopping")
EXPIRED = Refusal(grpc.StatusCode.OUT_OF_RANGE, "events are lost", "RESUME_TOKEN_EXPIRED")
Follow = Callable[..., Awaitable[list[str]]]


def event(number: int) -> Event:
    return Event(id=f"e{number}", type="video.ready", resume_token=f"t{number}")


@pytest.fixture(params=["asyncio", "blocking"])
def follow(request: pytest.FixtureRequest, server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Follow:
    """The ids of the next events."""
    monkeypatch.setattr("gostream_client.watch.random.uniform", lambda low, high: 0.001)

    def blocking(count: int, options: dict[str, Any]) -> list[str]:
        with Client(server.address) as client, closing(client.watch_events(**options)) as events:
            return [next(events).id for _ in range(count)]

    async def follow(count: int, **options: Any) -> list[str]:
        if request.param == "blocking":
            return await asyncio.to_thread(blocking, count, options)
        async with AsyncClient(server.address) as client, aclosing(client.watch_events(**options)) as events:
            return [(await anext(events)).id for _ in range(count)]

    return follow


async def test_broken_stream_continues_from_its_token(follow: Follow, server: ApiServer) -> None:
    silence = Event(resume_token="t2")
    server.api.event_streams.extend([[event(1), silence, GONE], [GONE], [event(3), event(4)]])

    ids = await follow(3, types=["video.ready"], since=datetime(2026, 1, 1, tzinfo=UTC))

    assert ids == ["e1", "e3", "e4"]
    asked = server.api.requests
    assert [request.resume_token for request in asked] == ["", "t2", "t2"]
    assert [request.HasField("since") for request in asked] == [True, False, False]
    assert all(list(request.types) == ["video.ready"] for request in asked)


async def test_working_stream_is_reopened_without_end(follow: Follow, server: ApiServer) -> None:
    server.api.event_streams.append([event(1), GONE])
    server.api.event_streams.extend([[GONE]] * (3 * MAX_FAILURES))
    server.api.event_streams.append([event(2)])

    assert await follow(2) == ["e1", "e2"]


async def test_unreachable_server_ends_the_watch(follow: Follow, server: ApiServer) -> None:
    server.api.event_streams.extend([[GONE]] * 50)

    with pytest.raises(UnreachableError):
        await follow(1)

    assert len(server.api.requests) == MAX_FAILURES


async def test_expired_token_ends_the_watch(follow: Follow, server: ApiServer) -> None:
    server.api.event_streams.append([EXPIRED])

    with pytest.raises(ResumeTokenExpiredError):
        await follow(1, resume_token="old")
