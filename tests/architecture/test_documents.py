"""The documents name only metrics, paths, commands and headings that exist."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.observability.product_metrics import all_series, metrics
from tests.support.repository import ROOT, relative, tracked

INLINE_CODE = re.compile(r"`([^`\n]+)`")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
METRIC = re.compile(r"\bgostream_[a-z0-9_]+")
#: Names that look like metrics and are packages or objects of the database.
OTHER_NAMES = {"gostream_changes", "gostream_migrations", "gostream_outbox"}


def pages() -> list[Path]:
    """Every document but the decisions, which keep the names of their time."""
    return [path for path in tracked("*.md") if "docs/decisions" not in path.as_posix()]


def packages() -> set[str]:
    return {path.parent.name for path in tracked("*/src/*/__init__.py")}


def inline_code(path: Path) -> list[str]:
    return INLINE_CODE.findall(FENCED.sub("", path.read_text()))


def slugs(path: Path) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", pages(), ids=relative)
def test_documented_metrics_exist(path: Path) -> None:
    known = set(all_series()) | packages() | OTHER_NAMES
    named = {name for code in inline_code(path) for name in METRIC.findall(code)}

    assert named - known == set()


def test_every_metric_is_documented() -> None:
    text = (ROOT / "docs/reference/metrics.md").read_text()

    missing = {
        name
        for name, metric in metrics().items()
        if not any(f"`{series}`" in text for series in metric.series)
    }

    assert metrics()
    assert missing == set()


def test_contributing_places_changes_at_existing_paths() -> None:
    guide = ROOT / "CONTRIBUTING.md"
    table = guide.read_text().partition("## Where does my change go?")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "change | place" not in line]
    paths = [code for code in inline_code(guide) if re.fullmatch(r"[\w./-]+", code) and "/" in code]

    assert len(rows) >= 20
    assert [row for row in rows if not LINK.search(row)] == []
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [path for path in LINK.findall(table) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("path", tracked("*.md"), ids=relative)
def test_links_lead_to_headings(path: Path) -> None:
    links = [link.partition("#") for link in LINK.findall(path.read_text()) if not link.startswith("http")]

    broken = [
        f"{target}#{anchor}"
        for target, sharp, anchor in links
        if sharp
        and (page := path.parent / target if target else path).suffix == ".md"
        and anchor not in slugs(page)
    ]

    assert broken == []


def test_code_names_existing_documents() -> None:
    sources = [
        path
        for path in tracked()
        if path.suffix in {".py", ".proto", ".yaml", ".yml", ".sql", ".lua", ".toml"}
    ]

    missing = {
        f"{relative(path)}: {name}"
        for path in sources
        for name in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text())
        if not (ROOT / name).exists()
    }

    assert missing == set()


def test_index_lists_every_document() -> None:
    index = ROOT / "docs/README.md"
    listed = {(index.parent / link).resolve() for link in LINK.findall(index.read_text())}
    written = {path for path in pages() if path.is_relative_to(index.parent) and path != index}

    assert written - listed == set()


@pytest.mark.parametrize("page", ["docs/explanation/architecture.md", "docs/reference/cli.md"])
def test_every_command_is_documented(page: str) -> None:
    projects = [tomllib.loads(path.read_text())["project"] for path in tracked("*pyproject.toml")]
    commands = {command for project in projects for command in project.get("scripts", {})}
    members = {project["name"] for project in projects} - {"gostream-workspace"}
    text = (ROOT / page).read_text()

    assert {command for command in commands if f"`{command}`" not in text} == set()
    assert page.endswith("cli.md") or {name for name in members if name not in text} == set()
