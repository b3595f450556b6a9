"""The limits of an owner as JSON and gRPC-Web through Envoy show them."""

import json

import pytest

from gostream.v1.video_service_pb2 import CreateVideoRequest
from tests.trust.conftest import Api, StartApi, caller, outcome
from tests.trust.edge_doors import EdgeDoor

CREATE = CreateVideoRequest(title="Holiday", size_bytes=4)


@pytest.fixture
async def api(start_api: StartApi) -> Api:
    """An API whose owners reach their quota with the second video, and their rate with the third."""
    return await start_api(QUOTA_VIDEOS="1", RATE_CREATES="2")


async def test_browsers_see_quotas_and_rates(edge_doors: dict[str, EdgeDoor]) -> None:
    for name, door in edge_doors.items():
        owner = caller(f"user-of-{name}", "write")
        ends = [await outcome(door.call("CreateVideo", CREATE, owner)) for _ in range(3)]

        assert [end.reason for end in ends] == ["", "QUOTA_EXCEEDED", "RATE_LIMITED"], name
        assert {end.code for end in ends[1:]} == {"RESOURCE_EXHAUSTED"}


async def test_json_has_the_details_of_a_refusal(edge_doors: dict[str, EdgeDoor]) -> None:
    owner = caller("alice", "write")
    ends = [await outcome(edge_doors["JSON"].call("CreateVideo", CREATE, owner)) for _ in range(3)]

    quota, rate = (json.loads(dict(end.rest)["body"])["details"] for end in ends[1:])
    assert quota[0]["metadata"] == {"quota": "videos", "limit": "1"}
    assert quota[1]["violations"][0]["subject"] == "owner:corp:alice"
    assert float(rate[1]["retry_delay"].removesuffix("s")) > 0
