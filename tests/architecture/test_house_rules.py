"""The rules of the house that no linter knows: CONTRIBUTING.md says them, this holds the tree to them."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--", *patterns], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [ROOT / line for line in listed.stdout.splitlines()]


def ours(path: Path) -> bool:
    return "protos/gen" not in path.as_posix()


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in filter(ours, tracked("*.py"))}

    assert lengths
    assert {str(path): lines for path, lines in lengths.items() if lines > 400} == {}


def test_nothing_left_over_is_checked_in() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b")
    this = Path(__file__)

    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked("*.py", "*.lua", "*.sql", "*.yml", "*.yaml", "Makefile")
        if ours(path) and path != this
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if marks.search(line)
    ]

    assert found == []


@pytest.mark.parametrize("path", tracked("*.md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_the_documents_leads_somewhere(path: Path) -> None:
    links = [link for link in LINK.findall(path.read_text()) if not link.startswith(("http:", "https:"))]

    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_rpc_says_how_to_call_it() -> None:
    proto = (ROOT / "protos/gostream/v1/video_service.proto").read_text()
    comments = re.findall(r"((?:^  //.*\n)+)  rpc (\w+)\(", proto, re.MULTILINE)

    assert len(comments) == len(re.findall(r"^  rpc ", proto, re.MULTILINE))
    for comment, rpc in comments:
        assert re.search(
            rf"grpcurl -plaintext .* gostream\.v1\.VideoService/{rpc}$", comment, re.MULTILINE
        ), rpc


def test_migrations_are_numbered_without_a_gap() -> None:
    names = [path.name for path in tracked("shared/src/gostream_shared/db/migrations/*.sql")]

    assert [name[:4] for name in names] == [f"{number:04}" for number in range(1, len(names) + 1)]
