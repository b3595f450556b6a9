"""The console in Chromium, on a complete stack."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

from gostream_devstack.instance.stack import Stack
from tests.e2e.conftest import client as client
from tests.e2e.conftest import small_clip as small_clip
from tests.e2e.conftest import submit as submit
from tests.e2e.conftest import upload as upload
from tests.support.browser import CHROMIUM

#: Milliseconds for what a busy machine does in a page.
PATIENCE = 60_000
_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio"]
_WATCH = """
    globalThis.violations = [];
    addEventListener("securitypolicyviolation", event =>
      violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


@dataclass
class Console:
    """One window with the console, and what the browser complains about."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    async def open(self, place: str = "") -> None:
        """Shows the page of a fragment such as `upload`, after a load."""
        await self.page.goto("about:blank")
        await self.page.goto(f"{self.url}#/{place}")
        await self.page.get_by_role("heading", level=2).first.wait_for()

    async def violations(self) -> list[str]:
        """Returns what the Content-Security-Policy has refused since the last load."""
        refused: list[str] = await self.page.evaluate("violations")
        return refused

    async def findings(self) -> list[str]:
        """Returns what axe finds on the present page, in light and in dark."""
        found = []
        for scheme in ("light", "dark"):
            await self.page.emulate_media(color_scheme=scheme)
            results = await Axe().run(self.page)
            found += [
                f"{scheme}: {each['id']} {[node['html'] for node in each['nodes']]}"
                for each in results.response["violations"]
            ]
        return found

    def noted(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.complaints.append(message.text)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if not CHROMIUM:
        pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=_OPTIONS)
        yield browser
        await browser.close()


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(locale="en-GB")
    context.set_default_timeout(PATIENCE)
    await context.add_init_script(_WATCH)
    yield context
    await context.close()


@pytest.fixture
async def console(context: BrowserContext, stack: Stack) -> AsyncIterator[Console]:
    """A console of the stack. At the end, no script had failed and the policy had refused nothing."""
    page = await context.new_page()
    console = Console(page, stack.env["GOSTREAM_CONSOLE_URL"])
    page.on("pageerror", lambda error: console.complaints.append(str(error)))
    page.on("console", console.noted)
    yield console
    assert console.complaints == []
    assert await console.violations() == []
