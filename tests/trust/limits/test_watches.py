"""The limit of watches per caller, in addition to the one per client address."""

import asyncio
from typing import Any

import pytest

from gostream.v1.video_service_pb2 import WatchVideoRequest
from tests.trust.conftest import Api, Metadata, StartApi, bearer, caller, outcome
from tests.trust.tokens import signed


@pytest.fixture
async def api(start_api: StartApi) -> Api:
    return await start_api(WATCHES_PER_PRINCIPAL="1")


async def watched(api: Api, video_id: str, who: Metadata) -> Any:
    """A watch that has shown the first state."""
    call = api.stub.WatchVideo(WatchVideoRequest(id=video_id), metadata=who)
    async with asyncio.timeout(120):
        await call.read()
    return call


async def test_watches_of_one_caller_are_limited(api: Api) -> None:
    video_id = await api.create("corp:alice")
    first = caller("alice", "read")
    other_token = caller("alice", "read", jti="another")
    watch = await watched(api, video_id, first)

    refused = await outcome(watched(api, video_id, other_token))

    assert str(refused) == "RESOURCE_EXHAUSTED TOO_MANY_REQUESTS"
    await watched(api, video_id, api.admin)
    watch.cancel()
    async with asyncio.timeout(120):
        while (await outcome(watched(api, video_id, other_token))).code != "OK":
            await asyncio.sleep(0.05)  # until the server notices


async def test_service_has_a_limit_for_each_owner(api: Api) -> None:
    service = bearer(signed(sub="backend", scope="videos:read videos:act-as"))
    videos = {owner: await api.create(owner) for owner in ("corp:alice", "corp:bob")}

    for owner, video_id in videos.items():
        acting = (*service, ("x-gostream-subject", owner))
        await watched(api, video_id, acting)
        assert (await outcome(watched(api, video_id, acting))).reason == "TOO_MANY_REQUESTS"
