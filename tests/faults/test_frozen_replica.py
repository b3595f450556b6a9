"""SIGSTOP freezes one of two replicas: a client with our options leaves it and returns after SIGCONT."""

import asyncio
from time import monotonic
from uuid import UUID

import pytest

from gostream_client import AsyncClient, UnreachableError
from tests.support.waiting import eventually

from .replicas import PATIENCE, Fleet, Replica

pytestmark = pytest.mark.faults
#: Seconds; promised in docs/how-to/call-the-api.md.
LEFT_WITHIN = 10.0
#: Round robin sends half of these calls to a replica that the client still uses.
ENOUGH = 40


async def is_answered(client: AsyncClient, video_id: UUID) -> bool:
    try:
        await client.get_video(str(video_id))
    except UnreachableError:
        return False
    return True


async def last_failure(client: AsyncClient, video_id: UUID) -> float:
    """Returns the time of the last failure after which ENOUGH consecutive calls succeed."""
    failed_at, answered = monotonic(), 0
    async with asyncio.timeout(PATIENCE):
        while answered < ENOUGH:
            if await is_answered(client, video_id):
                answered += 1
            else:
                failed_at, answered = monotonic(), 0
    return failed_at


async def answered_by(replica: Replica) -> float:
    return await replica.metric("gostream_rpc_handled_total")


async def test_client_leaves_frozen_replica_and_returns(fleet: Fleet) -> None:
    frozen, other = await fleet.start(2)
    video_id = await fleet.new_video("frozen")
    async with AsyncClient(f"{frozen.client.server},{other.client.server}") as client:
        for _ in range(ENOUGH):
            assert await is_answered(client, video_id)

        frozen.pause()
        start = monotonic()
        try:
            left_after = await last_failure(client, video_id) - start
        finally:
            frozen.resume()
        assert left_after < LEFT_WITHIN

        before = await answered_by(frozen)

        async def is_back() -> bool:
            await is_answered(client, video_id)
            return await answered_by(frozen) > before

        await eventually(is_back, timeout=PATIENCE)
