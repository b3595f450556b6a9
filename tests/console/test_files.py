"""The files of the console: what they weigh, where they come from, what they may not have."""

import gzip
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.repository import ROOT

CONSOLE = ROOT / "console"
SITE = sorted(path for path in (CONSOLE / "site").rglob("*") if path.is_file())
OWN = [path for path in SITE if path.parent.name != "vendor"]
SCRIPTS = [path for path in OWN if path.suffix == ".js"]
MOST = 300_000


@pytest.fixture
def vendor() -> ModuleType:
    spec = importlib.util.spec_from_file_location("console_vendor", CONSOLE / "vendor.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_everything_is_at_most_300_kb() -> None:
    client = (ROOT / "client/browser").glob("*.js")
    sent = sum(len(gzip.compress(path.read_bytes(), 6)) for path in (*SITE, *client))

    assert sent <= MOST


def test_libraries_are_those_of_the_lock(vendor: ModuleType) -> None:
    assert vendor.differences(json.loads((CONSOLE / "vendor.json").read_text())) == []


def test_changed_library_is_found(vendor: ModuleType, tmp_path: Path) -> None:
    lock = json.loads((CONSOLE / "vendor.json").read_text())
    for path in SITE:
        (tmp_path / path.name).write_bytes(path.read_bytes()) if path.parent.name == "vendor" else None
    (tmp_path / "hls.worker.js").write_text("other")
    (tmp_path / "hls.LICENSE.txt").unlink()
    (tmp_path / "more.js").touch()

    assert vendor.differences(lock, tmp_path) == [
        "hls.LICENSE.txt is missing",
        "hls.worker.js has other bytes",
        "more.js is in no library",
    ]


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_no_file_needs_a_weaker_policy(path: Path) -> None:
    assert not re.search(r"style=|<style|innerHTML|outerHTML|insertAdjacentHTML|\beval\b", path.read_text())


def test_words_are_in_one_file() -> None:
    words = (CONSOLE / "site/words.js").read_text()
    known = set(re.findall(r'^ {2}(\w+): "|[{,] (\w+): "|"([\w.]+)": "', words, re.MULTILINE))
    names = {name for each in known for name in each if name}
    used = {key for path in SCRIPTS for key in re.findall(r'say\("([\w.]+)"', path.read_text())}

    assert used
    assert used <= names
