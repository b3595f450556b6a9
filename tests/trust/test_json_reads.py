"""JSON reads of the read door: the callers of the matrix, and short paths that must not skip the check."""

from collections.abc import AsyncIterator
from uuid import uuid4

import aiohttp
import pytest

from tests.trust.conftest import Api, Metadata, caller
from tests.trust.test_matrix import ALICE, BOB, strangers


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


async def ask(http: aiohttp.ClientSession, api: Api, path: str, who: Metadata) -> tuple[int, str]:
    """Status and body; repeated while a backend is too busy, as clients do. A 401 names the scheme."""
    while True:
        async with http.get(f"{api.url}/v1/videos{path}", headers=list(who)) as answer:
            status, body = answer.status, await answer.text()
            challenge = answer.headers.get("www-authenticate")
        assert challenge == ('Bearer realm="gostream"' if status == 401 else None)
        if status != 503:
            return status, body


async def test_json_reads_reach_own_videos_only(http: aiohttp.ClientSession, api: Api) -> None:
    own, other, absent = await api.create(ALICE), await api.create(BOB), str(uuid4())
    alice = caller("alice", "read")
    for video_id in (own, other):
        await api.heat(video_id)

    for _ in range(3):  # the later ones take short paths
        assert (await ask(http, api, f"/{own}", alice))[0] == 200
        assert (await ask(http, api, f":batchGet?ids={own}", alice))[0] == 200
        foreign, missing = [await ask(http, api, f"/{each}", alice) for each in (other, absent)]
        assert foreign[0] == 404
        assert foreign[1].replace(other, "ID") == missing[1].replace(absent, "ID")
        assert (await ask(http, api, f":batchGet?ids={own}&ids={other}", alice))[0] == 404
        assert (await ask(http, api, f"/{own}?min_version=99", alice))[0] == 400
        assert (await ask(http, api, f"/{other}?min_version=99", alice))[0] == 404
        assert (await ask(http, api, f"/{other}", api.admin))[0] == 200


async def test_json_reads_refuse_strangers(http: aiohttp.ClientSession, api: Api) -> None:
    video_id = await api.create(ALICE)
    await api.heat(video_id)

    answers = {
        name: [await ask(http, api, f"/{video_id}", who) for _ in range(2)]
        for name, who in strangers().items()
    }
    scopeless = await ask(http, api, f"/{video_id}", caller("alice", "write"))

    assert {status for each in answers.values() for status, _ in each} == {401}, answers
    assert len({body for each in answers.values() for _, body in each}) == 1
    assert (scopeless[0], "SCOPE_MISSING" in scopeless[1]) == (403, True)
