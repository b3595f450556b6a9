"""A picture of the console in headless Chromium, where both it and Playwright are installed."""

import shutil
from pathlib import Path

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
_PATIENCE = 30_000


def take_picture(url: str, token: str, path: Path) -> str:
    """Saves the console's first page as a PNG. Returns a sentence that says where, or why there is none."""
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        return "No picture of the console: Chromium is not installed."
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        return "No picture of the console: Playwright is not installed."
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=_OPTIONS, timeout=_PATIENCE)
            page = browser.new_page(viewport={"width": 1000, "height": 620}, locale="en-GB")
            page.set_default_timeout(_PATIENCE)
            page.goto(url)
            dialog = page.get_by_role("dialog")
            dialog.get_by_label("Token").fill(token)
            dialog.get_by_role("button", name="Use").click()
            page.locator("tbody tr").first.wait_for()
            page.screenshot(path=path)
            browser.close()
    except Error as error:
        return f"No picture of the console: {error.message.splitlines()[0]}"
    return f"A picture of the console: {path}"
