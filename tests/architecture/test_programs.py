"""The pages print exactly the programs that tests/e2e/test_programs.py runs."""

import re
from pathlib import Path

import pytest

from tests.support.repository import ROOT, relative, tracked

FOLDER = ROOT / "docs/how-to/programs"
PAGES = ("docs/how-to/call-with-grpc.md", "docs/how-to/call-with-json.md")
PROGRAM = re.compile(
    r"^\[`programs/([\w./-]+)`\]\(programs/([\w./-]+)\):\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


def printed() -> dict[str, str]:
    """Returns the programs that the pages print below a link."""
    found = {}
    for page in PAGES:
        for name, target, text in PROGRAM.findall((ROOT / page).read_text()):
            assert name == target
            found[name] = text
    return found


@pytest.mark.parametrize("path", tracked("docs/how-to/programs/*"), ids=relative)
def test_page_prints_the_program(path: Path) -> None:
    assert printed()[path.relative_to(FOLDER).as_posix()] == path.read_text()


def test_pages_print_no_other_program() -> None:
    assert {name for name in printed() if not (FOLDER / name).is_file()} == set()
