"""Measures by how much calls of both clients outlive their deadlines."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

import pytest

from gostream_client import AsyncClient, Client, DeadlineExceededError, Token, UnreachableError
from tests.support.fake_server import VIDEO_ID
from tests.support.waiting import longest_pause

#: Seconds; promised in docs/how-to/python-client.md.
LATE = 0.1
#: The deadline of each call in seconds.
SECONDS = 0.4
#: A deadline passes through three threads: gRPC's timer, its events, the caller. Each may be paused.
_THREADS = 3
#: Every kind of call, with its deadline.
CALLS: dict[str, Callable[[Any, float], Any]] = {
    "read": lambda client, seconds: client.get_video(VIDEO_ID, timeout=seconds),
    "read with trailers": lambda client, seconds: client.get_video_reply(VIDEO_ID, timeout=seconds),
    "write once": lambda client, seconds: client.create_video(title="x", timeout=seconds),
    "write": lambda client, seconds: client.delete_video(VIDEO_ID, timeout=seconds),
    "page": lambda client, seconds: client.list_videos_page(timeout=seconds),
    "wait": lambda client, seconds: client.wait(VIDEO_ID, timeout=seconds),
}


async def check_deadlines(
    server: str, *, prepare: Callable[[], None] = lambda: None, token: Token | None = None
) -> None:
    """Asserts that every call to a silent `server` ends at its deadline or before, in both clients.

    Before, if the client has found the connection dead in the meantime.
    `prepare` is called after both clients have called the server once, or have failed to.
    """
    async with AsyncClient(server, token=token) as client:
        with Client(server, token=token) as blocking:
            await asyncio.gather(
                _ignored(client.get_video(VIDEO_ID, timeout=SECONDS)),
                _ignored(asyncio.to_thread(blocking.get_video, VIDEO_ID, timeout=SECONDS)),
            )
            prepare()
            late = {}
            async with longest_pause() as pause:
                for name, call in CALLS.items():
                    late[name] = await _late(call, client)
                    late[f"blocking {name}"] = await asyncio.to_thread(_late_blocking, call, blocking)
    assert max(late.values()) <= LATE + _THREADS * pause(), (late, pause())


async def _late(call: Callable[[Any, float], Any], client: AsyncClient) -> float:
    start = monotonic()
    with pytest.raises(UnreachableError):
        await call(client, SECONDS)
    return monotonic() - start - SECONDS


def _late_blocking(call: Callable[[Any, float], Any], client: Client) -> float:
    start = monotonic()
    with pytest.raises(UnreachableError):
        call(client, SECONDS)
    return monotonic() - start - SECONDS


async def _ignored(call: Any) -> None:
    with suppress(DeadlineExceededError):
        await call
