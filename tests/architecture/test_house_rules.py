"""The rules of the house that no linter knows: CONTRIBUTING.md says them, this holds the tree to them."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support.repository import ROOT, relative, tracked

LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def ours(path: Path) -> bool:
    return "protos/gen" not in path.as_posix()


#: Modules above the limit, each with its reason.
LONG_MODULES = {
    "conformance/src/gostream_conformance/formats/mpegts.py": "one demuxer: its tables refer to each other",
    "conformance/src/gostream_conformance/playlist/parser.py": "one grammar",
    "conformance/src/gostream_conformance/tree/loader.py": "one bounded walk over a tree",
}
#: Folders above the limit, each with its reason.
LARGE_FOLDERS = {
    "benchmarks/coherence": "one module for each cache that is compared",
    "conformance/tests": "one test module for each part of the checker, and the trees they share",
    "tests/corpus": "one module for each family of files",
    "tests/deploy": "one test module for each promise of an edge",
    "tests/faults": "one test module for each kind of fault",
    "tests/proof": "one model: world, replica, operations, checker, mutants",
}


#: Folders whose test names may still be longer.


def sources() -> list[Path]:
    return [path for path in filter(ours, tracked("*.py")) if path.exists()]


def test_modules_have_at_most_300_lines() -> None:
    lengths = {relative(path): len(path.read_text().splitlines()) for path in sources()}

    modules = {name: lines for name, lines in lengths.items() if "/src/" in name and lines > 300}
    assert lengths
    assert set(modules) == set(LONG_MODULES), modules
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def test_folders_have_at_most_12_modules() -> None:
    counts = Counter(relative(path.parent) for path in sources() if path.name != "__init__.py")

    assert {folder for folder, count in counts.items() if count > 12} == set(LARGE_FOLDERS), counts


def test_functions_have_at_most_50_lines() -> None:
    long = {
        f"{relative(path)}:{node.name}"
        for path in sources()
        if "/src/" in path.as_posix()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= 50
    }

    assert long == set()


def test_test_names_have_at_most_8_words() -> None:
    tests = [
        f"{relative(path)}:{node.name}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]

    assert tests
    assert [name for name in tests if name.rpartition(":")[2].count("_") > 8] == []


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


@pytest.mark.parametrize(
    "path", tracked("protos/gostream/v1/*_service.proto"), ids=lambda path: str(path.stem)
)
def test_every_rpc_says_how_to_call_it(path: Path) -> None:
    proto = path.read_text()
    [service] = re.findall(r"^service (\w+) \{", proto, re.MULTILINE)
    comments = re.findall(r"((?:^  //.*\n)+)  rpc (\w+)\(", proto, re.MULTILINE)

    assert len(comments) == len(re.findall(r"^  rpc ", proto, re.MULTILINE))
    for comment, rpc in comments:
        assert re.search(rf"grpcurl -plaintext .* gostream\.v1\.{service}/{rpc}$", comment, re.MULTILINE), rpc


def test_migrations_are_numbered_without_a_gap() -> None:
    names = [path.name for path in tracked("shared/src/gostream_shared/db/migrations/*.sql")]

    assert [name[:4] for name in names] == [f"{number:04}" for number in range(1, len(names) + 1)]
