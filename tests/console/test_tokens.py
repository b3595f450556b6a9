"""Tokens: wanted, pasted, expired, and by a sign-in at an issuer."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from aiohttp import web
from playwright.async_api import BrowserContext, Page

from gostream_devstack.host.issuer import TokenIssuer
from gostream_devstack.instance.stack import Stack
from gostream_devstack.servers.nginx import Nginx

from .conftest import Console

pytestmark = [pytest.mark.stack, pytest.mark.slow]
SCOPES = "videos:read,videos:write"


@dataclass
class Identity:
    """An issuer of OpenID Connect, which signs everybody in at once."""

    token: str
    url: str = ""
    asked: dict[str, str] = field(default_factory=dict)
    #: Changes the state with which it sends people back.
    forge: Callable[[str], str] = str

    async def discovery(self, _: web.Request) -> web.Response:
        places = {"authorization_endpoint": f"{self.url}/authorize", "token_endpoint": f"{self.url}/token"}
        return web.json_response({"issuer": self.url, **places}, headers=_ANYBODY)

    async def authorize(self, request: web.Request) -> web.Response:
        self.asked = dict(request.query)
        back = f"{self.asked['redirect_uri']}?code=a-code&state={self.forge(self.asked['state'])}"
        raise web.HTTPFound(back)

    async def exchange(self, request: web.Request) -> web.Response:
        form = await request.post()
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        good = (form["code"], challenge) == ("a-code", self.asked["code_challenge"])
        return web.json_response({"access_token": self.token}, status=200 if good else 400, headers=_ANYBODY)


_ANYBODY = {"Access-Control-Allow-Origin": "*"}


@pytest.fixture
def issuer() -> TokenIssuer:
    return TokenIssuer.temporary()


@pytest.fixture
def stack(make_stack: Callable[..., Stack], issuer: TokenIssuer) -> Stack:
    """A stack whose API wants tokens."""
    return make_stack(workers=0, issuer=issuer)


@pytest.fixture
async def identity(stack: Stack, issuer: TokenIssuer) -> AsyncIterator[Identity]:
    identity = Identity(issuer.token("alice", SCOPES, timedelta(minutes=10)))
    app = web.Application()
    app.add_routes(
        [
            web.get("/.well-known/openid-configuration", identity.discovery),
            web.get("/authorize", identity.authorize),
            web.post("/token", identity.exchange),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    identity.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    nginx = stack.servers["nginx"]
    assert isinstance(nginx, Nginx)
    assert nginx.console is not None
    nginx.console = replace(nginx.console, issuer=identity.url, client_id="console")
    await asyncio.to_thread(nginx.stop)
    await asyncio.to_thread(nginx.start)
    yield identity
    await runner.cleanup()


async def paste(page: Page, token: str) -> None:
    await page.get_by_role("dialog").get_by_label("Token (JWT)").fill(token)
    await page.get_by_role("button", name="Use").click()
    await page.get_by_role("dialog").wait_for(state="detached")


async def test_expired_token_is_replaced(console: Console, issuer: TokenIssuer) -> None:
    page = console.page
    await page.goto(console.url)
    await page.get_by_text("The API wants a token.").wait_for()
    assert await console.findings() == []
    await paste(page, issuer.token("alice", SCOPES, timedelta(minutes=10)))
    await page.get_by_text("No videos.").wait_for()

    await page.get_by_role("link", name="Token").click()
    await page.get_by_text("A token is in use until").wait_for()
    assert await console.findings() == []
    await page.get_by_label("Token (JWT)").fill(issuer.token("alice", SCOPES, timedelta(minutes=-10)))
    await page.get_by_role("button", name="Use").click()
    await page.get_by_role("link", name="Videos").click()
    await page.get_by_text("The token expired on").wait_for()
    await paste(page, issuer.token("alice", SCOPES, timedelta(minutes=10)))
    await page.get_by_text("No videos.").wait_for()

    kept = await page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")
    assert kept == '[{},{},""]'


async def test_sign_in_gives_a_token(console: Console, identity: Identity) -> None:
    page = console.page
    await page.goto(f"{console.url}#/token")

    await page.get_by_role("button", name="Sign in").first.click()

    await page.get_by_text("A token is in use until").wait_for()
    assert identity.asked["code_challenge_method"] == "S256"
    assert page.url == f"{console.url}#/token"
    await page.get_by_role("link", name="Videos").click()
    await page.get_by_text("No videos.").wait_for()


async def test_forged_way_back_is_refused(
    console: Console, context: BrowserContext, identity: Identity
) -> None:
    identity.forge = lambda state: state[::-1]
    await console.page.goto(f"{console.url}#/token")

    await console.page.get_by_role("button", name="Sign in").first.click()

    await console.page.get_by_text("The sign-in failed").wait_for()
    await console.page.get_by_text("No token is in use.").wait_for()
