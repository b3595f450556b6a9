"""Each decision record has a complete head, and the index lists every record."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs/decisions"


def _load_index() -> ModuleType:
    spec = importlib.util.spec_from_file_location("decisions_index", FOLDER / "index.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


index = _load_index()
RECORDS = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(FOLDER, tmp_path / "decisions")
    return tmp_path / "decisions"


def _check(folder: Path) -> int:
    code: int = index.main(["--check"], folder)
    return code


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name[:4])
def test_record_has_status_and_date(path: Path) -> None:
    record = index.parse(path.name, path.read_text())

    assert re.match(r"accepted$|superseded by \[", record.status)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", record.date)


def test_numbers_are_unique() -> None:
    numbers = [path.name[:4] for path in RECORDS]

    assert numbers
    assert len(numbers) == len(set(numbers))


def test_index_lists_every_record() -> None:
    rows = re.findall(r"^\| \[(\d{4})\]\(([^)]+)\) \|", (FOLDER / "README.md").read_text(), re.MULTILINE)

    assert [file for _, file in rows] == [path.name for path in RECORDS]
    assert all(file.startswith(f"{number}-") for number, file in rows)


def test_index_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert _check(FOLDER) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("Status: accepted\n", "", "Status"),
        ("Status: accepted", "Status: draft", "Status"),
        ("Status: accepted", "Status: superseded", "Status"),
        ("Date: 2026-11-22", "Date: 22 November 2026", "Date"),
        ("Date: 2026-11-22", "Date: 2026-13-01", "Date"),
        ("# 0001 –", "# 0001:", "first line"),
        ("# 0001 –", "# 0002 –", "first line"),
        ("## Consequences", "## Results", "Consequences"),
        ("Date: 2026-11-22", "Date: 2026-11-22\n\nArea: elsewhere", "Area"),
    ],
)
def test_malformed_head_is_reported(
    copy: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, fault: str
) -> None:
    _replace(copy / "0001-a-plain-id-and-status.md", old, new)

    assert _check(copy) == 1
    error = capsys.readouterr().err
    assert error.startswith("0001-a-plain-id-and-status.md: ")
    assert fault in error


def test_duplicate_number_is_reported(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(copy / "0001-a-plain-id-and-status.md", copy / "0001-copy.md")

    assert _check(copy) == 1
    assert "0001 is used twice" in capsys.readouterr().err


def test_missing_row_is_reported_and_written(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (copy / "0001-a-plain-id-and-status.md").read_text().replace("# 0001", "# 0119")
    (copy / "0119-new.md").write_text(text)

    assert _check(copy) == 1
    assert "out of date" in capsys.readouterr().err
    assert index.main(["--write"], copy) == 0
    assert _check(copy) == 0
    assert "| [0119](0119-new.md) |" in (copy / "README.md").read_text()


def test_superseded_record_needs_both_links(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = copy / "0001-a-plain-id-and-status.md", copy / "0002-a-lock-without-hosts.md"
    _replace(old, "Status: accepted", f"Status: superseded by [0002]({new.name})")

    assert _check(copy) == 1
    assert f"{new.name}: needs `Supersedes`" in capsys.readouterr().err

    _replace(new, "Date: 2026-11-22", f"Date: 2026-11-22\n\nSupersedes: [0001]({old.name})")
    assert index.main(["--write"], copy) == 0
    assert _check(copy) == 0

    _replace(old, f"Status: superseded by [0002]({new.name})", "Status: accepted")
    assert _check(copy) == 1
    assert f"{old.name}: needs `Superseded by`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("[0002](0002-missing.md)", "does not exist"),
        ("[0003](0002-a-lock-without-hosts.md)", "links to"),
        ("0002", "needs a link"),
    ],
)
def test_invalid_link_is_reported(
    copy: Path, capsys: pytest.CaptureFixture[str], link: str, fault: str
) -> None:
    path = copy / "0001-a-plain-id-and-status.md"
    _replace(path, "Date: 2026-11-22", f"Date: 2026-11-22\n\nAmends: {link}")

    assert _check(copy) == 1
    assert fault in capsys.readouterr().err
