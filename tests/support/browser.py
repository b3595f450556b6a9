"""Headless Chromium on one page: the document after its load, and what the browser complains about."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: Nothing that an idle browser fetches, and no sandbox, which needs privileges that containers lack.
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_CONSOLE = re.compile(r"CONSOLE[^\]]*\] (.*)")
_PATIENCE = 120


@dataclass(frozen=True, slots=True)
class Shown:
    """A loaded page: its document, and the lines of its console."""

    html: str
    errors: list[str]


def dump(url: str, home: Path, *options: str) -> Shown:
    """Loads a page. `--virtual-time-budget=MS` among the options lets its scripts run before the dump."""
    command = [CHROMIUM or "chromium", *OPTIONS, f"--user-data-dir={home}", "--enable-logging=stderr"]
    done = subprocess.run(
        [*command, *options, "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=True,
    )
    return Shown(done.stdout, _CONSOLE.findall(done.stderr))
