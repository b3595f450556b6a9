"""Keys rotate, and the issuer fails, while calls run, and every call succeeds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gostream.v1 import video_service_pb2 as messages
from tests.trust.conftest import Api, StartApi, bearer, outcome
from tests.trust.tokens import AUDIENCE, ISSUER, key_set, public_jwk, signed

ALICE = "corp:alice"


@dataclass
class Website:
    """An issuer on the web. Without keys it answers 500."""

    url: str = ""
    keys: bytes = b""
    fetches: int = 0


@pytest.fixture
async def website() -> AsyncIterator[Website]:
    site = Website()

    async def answer(_: web.Request) -> web.Response:
        site.fetches += 1
        return web.Response(body=site.keys) if site.keys else web.Response(status=500)

    application = web.Application()
    application.router.add_get("/jwks", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
    yield site
    await runner.cleanup()


@pytest.fixture
def issuers(tmp_path: Path, website: Website) -> Path:
    path = tmp_path / "web.yaml"
    entry = {"alias": "corp", "issuer": ISSUER, "audiences": [AUDIENCE], "jwks_url": website.url}
    path.write_text(yaml.safe_dump([entry]))
    return path


@asynccontextmanager
async def load(api: Api, video_id: str, token: Callable[[], str]) -> AsyncIterator[list[str]]:
    """Calls all the time; yields the list of wrong answers."""
    wrong: list[str] = []

    async def call() -> None:
        request = messages.GetVideoRequest(id=video_id)
        while True:
            answer = str(await outcome(api.stub.GetVideo(request, metadata=bearer(token()), timeout=60)))
            if answer != "OK":
                wrong.append(answer)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(call()) for _ in range(4)]
    try:
        yield wrong
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_fetched(site: Website, count: int = 2) -> None:
    """Waits for fetches that begin after now."""
    wanted = site.fetches + count
    while site.fetches < wanted:
        await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_rotation_and_outage_fail_no_call(start_api: StartApi, website: Website, issuers: Path) -> None:
    keys = {name: Ed25519PrivateKey.generate() for name in ("one", "two")}
    entries = {name: public_jwk("EdDSA", key, kid=name) for name, key in keys.items()}
    website.keys = key_set(entries["one"])
    api = await start_api(AUTH_JWT_ISSUERS_FILE=str(issuers), AUTH_JWKS_REFRESH="1s")
    signer = "one"

    def token() -> str:
        scope = "videos:read videos:write videos:admin"
        return signed(sub="alice", scope=scope, key=keys[signer], header={"kid": signer})

    request = messages.CreateVideoRequest(title="Holiday", size_bytes=4)
    video_id = (await api.stub.CreateVideo(request, metadata=bearer(token()), timeout=60)).video.id
    old = bearer(token())
    async with load(api, video_id, token) as wrong:
        website.keys = key_set(*entries.values())
        await until_fetched(website)
        signer = "two"
        website.keys = b""
        await until_fetched(website)  # the issuer is down
        website.keys = key_set(entries["two"])
        await until_fetched(website)

    assert wrong == []
    answer = await outcome(api.stub.GetVideo(messages.GetVideoRequest(id=video_id), metadata=old, timeout=60))
    assert str(answer) == "UNAUTHENTICATED TOKEN_INVALID"


async def test_absent_issuer_makes_calls_unavailable(
    start_api: StartApi, website: Website, issuers: Path
) -> None:
    api = await start_api(AUTH_JWT_ISSUERS_FILE=str(issuers), AUTH_JWKS_REFRESH="1s")
    call = api.stub.ListVideos(messages.ListVideosRequest(), metadata=bearer(signed()), timeout=60)

    assert str(await outcome(call)) == "UNAVAILABLE BACKEND_UNAVAILABLE"
