"""The pages of webhooks: the secret is shown once, deliveries are shown and sent again."""

from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from gostream_devstack.instance.stack import Stack

from .conftest import Console

pytestmark = [pytest.mark.stack, pytest.mark.slow]


@pytest.fixture
def stack(make_stack: Callable[..., Stack]) -> Stack:
    """A stack that delivers to this machine."""
    return make_stack(settings={"WEBHOOK_URL_ALLOW": "127.0.0.0/8", "WEBHOOK_URL_HTTP": "true"})


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """The URL of a receiver."""
    app = web.Application()

    async def receive(_: web.Request) -> web.Response:
        return web.Response(status=204)

    app.add_routes([web.post("/hook", receive)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    await runner.cleanup()


async def test_webhook_is_added_tested_and_removed(console: Console, url: str) -> None:
    page = console.page
    await console.open("webhooks")
    await page.get_by_label("URL (https)").fill(url)
    await page.get_by_label("Types").fill("video.ready, video.failed")
    await page.get_by_role("button", name="Add").click()
    await page.get_by_text("shown once: whsec_").wait_for()
    assert await console.findings() == []

    await page.get_by_role("link", name=url).click()
    await page.get_by_role("button", name="Send a test").click()
    row = page.get_by_role("row", name="webhook.test")
    while not await row.filter(has_text="Delivered").count():
        await page.get_by_role("button", name="Load again").click()
        await row.wait_for()
    assert await row.filter(has_text="204").count() == 1
    assert await console.findings() == []
    await page.get_by_role("button", name="Deliver webhook.test again").click()
    await page.get_by_text("Deliveries: 1").wait_for()

    await page.get_by_role("button", name="Remove").click()
    await page.get_by_role("button", name="Yes").click()
    await page.get_by_text("No webhooks.").wait_for()
