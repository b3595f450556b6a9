"""SIGSTOP freezes one of two replicas: a client with our options leaves it and returns after SIGCONT."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from uuid import UUID

import pytest

from gostream_client import AsyncClient, Client, UnreachableError
from tests.support.waiting import eventually

from .replicas import PATIENCE, Fleet, Replica

pytestmark = pytest.mark.faults
#: Seconds; promised in docs/how-to/call-the-api.md.
LEFT_WITHIN = 10.0
#: Round robin sends half of these calls to a replica that the client still uses.
ENOUGH = 40


Get = Callable[[UUID], Awaitable[object]]


@asynccontextmanager
async def reading(kind: str, servers: str) -> AsyncIterator[Get]:
    """Yields GetVideo of a client of either kind."""
    if kind == "asyncio":
        async with AsyncClient(servers) as client:
            yield lambda video_id: client.get_video(str(video_id))
    else:
        with Client(servers) as blocking:
            yield lambda video_id: asyncio.to_thread(blocking.get_video, str(video_id))


async def is_answered(get: Get, video_id: UUID) -> bool:
    try:
        await get(video_id)
    except UnreachableError:
        return False
    return True


async def last_failure(get: Get, video_id: UUID) -> float:
    """Returns the time of the last failure after which ENOUGH consecutive calls succeed."""
    failed_at, answered = monotonic(), 0
    async with asyncio.timeout(PATIENCE):
        while answered < ENOUGH:
            if await is_answered(get, video_id):
                answered += 1
            else:
                failed_at, answered = monotonic(), 0
    return failed_at


async def answered_by(replica: Replica) -> float:
    return await replica.metric("gostream_rpc_handled_total")


@pytest.mark.parametrize("kind", ["asyncio", "blocking"])
async def test_client_leaves_frozen_replica_and_returns(fleet: Fleet, kind: str) -> None:
    frozen, other = await fleet.start(2)
    video_id = await fleet.new_video("frozen")
    async with reading(kind, f"{frozen.client.server},{other.client.server}") as get:
        for _ in range(ENOUGH):
            assert await is_answered(get, video_id)

        frozen.pause()
        start = monotonic()
        try:
            left_after = await last_failure(get, video_id) - start
        finally:
            frozen.resume()
        assert left_after < LEFT_WITHIN

        before = await answered_by(frozen)

        async def is_back() -> bool:
            await is_answered(get, video_id)
            return await answered_by(frozen) > before

        await eventually(is_back, timeout=PATIENCE)
