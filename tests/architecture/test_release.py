"""`make release` on a copy of this repository and on small workspaces."""

import hashlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [{version}] - {date}\n\n### Added\n\n- A release.\n"
IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *IDENTITY, *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout


def commit(root: Path) -> None:
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "All files")


def release(root: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.release", "--root", root, *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )


def digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(root).parts
    }


def project(folder: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    before: dict[str, str]
    after: dict[str, str]
    members: set[str]
    dist: Path
    output: str


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory: pytest.TempPathFactory) -> DryRun:
    root, dist = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for name in git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes((ROOT / name).read_bytes())
    (root / "CHANGELOG.md").write_text(CHANGELOG.format(version="98.7.6", date="2026-11-30"))
    git(root, "init", "--quiet")
    before = digests(root)

    done = release(root, "98.7.6", "--dry-run", "--out-dir", dist)

    assert done.returncode == 0, done.stderr
    folders = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    members = {project(root / folder)["name"] for folder in folders}
    return DryRun(before=before, after=digests(root), members=members, dist=dist, output=done.stdout)


def bill(dry_run: DryRun) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((dry_run.dist / "sbom.cdx.json").read_text())
    return document


def components(dry_run: DryRun) -> dict[str, dict[str, Any]]:
    return {component["name"]: component for component in bill(dry_run)["components"]}


def test_dry_run_builds_one_wheel_per_member(dry_run: DryRun) -> None:
    wheels = sorted(path.name for path in dry_run.dist.glob("*.whl"))

    assert len(dry_run.members) == 9
    assert wheels == sorted(f"{name.replace('-', '_')}-98.7.6-py3-none-any.whl" for name in dry_run.members)
    assert all(wheel in dry_run.output for wheel in wheels)


def test_dry_run_changes_no_file(dry_run: DryRun) -> None:
    assert dry_run.after == dry_run.before


def test_sbom_lists_every_locked_package(dry_run: DryRun) -> None:
    pins = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line[0] != " "]
    locked = sorted(re.split(r"[ ;\\]", pin)[0] for pin in pins)
    listed = [f"{found['name']}=={found['version']}" for found in bill(dry_run)["components"]]

    assert len(locked) > 100
    assert sorted(listed) == sorted([*locked, *(f"{name}==98.7.6" for name in dry_run.members)])


def test_sbom_matches_the_schema(dry_run: DryRun) -> None:
    text = (dry_run.dist / "sbom.cdx.json").read_text()

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_sbom_has_hashes_of_wheels(dry_run: DryRun) -> None:
    found = components(dry_run)

    for wheel in dry_run.dist.glob("*.whl"):
        member = found[wheel.name.split("-")[0].replace("_", "-")]
        assert member["hashes"] == [
            {"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}
        ]


def test_sbom_separates_development_tools(dry_run: DryRun) -> None:
    found = components(dry_run)
    edges = {entry["ref"]: set(entry.get("dependsOn", ())) for entry in bill(dry_run)["dependencies"]}

    assert {found[name]["scope"] for name in ("grpcio", "asyncpg", "botocore")} == {"required"}
    assert {found[name]["scope"] for name in ("ruff", "pytest", "mypy")} == {"excluded"}
    assert found["colorama"]["scope"] == "optional"  # Windows
    assert (
        found["grpcio"]["purl"]
        in edges["pkg:pypi/gostream-api@98.7.6"] | edges["pkg:pypi/gostream-shared@98.7.6"]
    )
    assert edges["gostream"] == {found[name]["bom-ref"] for name in dry_run.members}


PROJECT = '[project]\nname = "{name}"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n\n{rest}'
WORKSPACE = """\
[tool.uv]
package = false

[tool.uv.workspace]
members = ["one", "two"]

[tool.other]
version = "5"
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A committed workspace of two members, of which one has a `__version__`."""
    backend = (ROOT / "conformance/pyproject.toml").read_text().partition("[build-system]")
    root = tmp_path / "workspace"
    for name in ("one", "two"):
        package = root / name / f"src/gostream_{name}"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text('"""A member."""\n')
        text = PROJECT.format(name=f"gostream-{name}", rest="".join(backend[1:]))
        (root / name / "pyproject.toml").write_text(text)
    (root / "two/src/gostream_two/__init__.py").write_text('__version__ = "0.1.0"\n')
    (root / "pyproject.toml").write_text(PROJECT.format(name="root", rest=WORKSPACE))
    (root / "requirements.lock").write_text("grpcio==1.80.0 \\\n    --hash=sha256:00\n")
    (root / "CHANGELOG.md").write_text(CHANGELOG.format(version="0.2.0", date="2026-11-30"))
    (root / ".gitignore").write_text("dist/\n")
    commit(root)
    return root


def test_release_sets_versions_and_builds(workspace: Path) -> None:
    dist = workspace / "dist"
    dist.mkdir()
    (dist / "gostream_one-0.1.0-py3-none-any.whl").touch()

    done = release(workspace, "0.2.0")

    assert done.returncode == 0, done.stderr
    assert {project(workspace / name)["version"] for name in (".", "one", "two")} == {"0.2.0"}
    assert tomllib.loads((workspace / "pyproject.toml").read_text())["tool"]["other"] == {"version": "5"}
    assert (workspace / "two/src/gostream_two/__init__.py").read_text() == '__version__ = "0.2.0"\n'
    assert {path.name for path in dist.iterdir()} == {
        "gostream_one-0.2.0-py3-none-any.whl",
        "gostream_two-0.2.0-py3-none-any.whl",
        "sbom.cdx.json",
    }
    assert git(workspace, "status", "--porcelain").split() == [
        *("M", "one/pyproject.toml"),
        *("M", "pyproject.toml"),
        *("M", "two/pyproject.toml"),
        *("M", "two/src/gostream_two/__init__.py"),
    ]


def test_failed_build_changes_nothing(workspace: Path) -> None:
    (workspace / "one/src/gostream_one/__init__.py").unlink()
    git(workspace, "commit", "--quiet", "--all", "--message", "Remove the module")

    done = release(workspace, "0.2.0")

    assert done.returncode == 1
    assert "uv build --wheel" in done.stderr
    assert "gostream_one" in done.stderr
    assert git(workspace, "status", "--porcelain", "--ignored") == ""


def rewrite_changelog(old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        file = root / "CHANGELOG.md"
        file.write_text(file.read_text().replace(old, new))
        git(root, "commit", "--quiet", "--all", "--message", "Change the changelog")

    return change


@pytest.mark.parametrize(
    ("version", "prepare", "message"),
    [
        ("0.2", lambda _: None, "not of the form x.y.z"),
        ("0.2.0rc1", lambda _: None, "not of the form x.y.z"),
        ("0.0.9", lambda _: None, "higher than 0.0.9"),
        ("0.3.0", lambda _: None, "no section `## [0.3.0] - YYYY-MM-DD`"),
        ("0.2.0", rewrite_changelog(" - 2026-11-30", ""), "no section `## [0.2.0] - YYYY-MM-DD`"),
        ("0.2.0", rewrite_changelog("2026-11-30", "30.11.2026"), "not YYYY-MM-DD"),
        ("0.2.0", rewrite_changelog("- A release.\n", ""), "has no entry"),
        ("0.2.0", lambda root: git(root, "tag", "v0.2.0"), "the tag v0.2.0 exists"),
        ("0.2.0", lambda root: (root / "one/new.txt").touch(), "uncommitted changes"),
        ("0.2.0", lambda root: (root / "CHANGELOG.md").write_text("x"), "uncommitted changes"),
    ],
    ids=[
        *("two-numbers", "suffix", "lower", "no-section", "no-date", "other-date", "no-entry"),
        *("tagged", "new-file", "changed-file"),
    ],
)
def test_release_is_refused(
    workspace: Path, version: str, prepare: Callable[[Path], object], message: str
) -> None:
    prepare(workspace)
    before = digests(workspace)

    done = release(workspace, version)

    assert done.returncode == 1
    assert done.stderr.startswith("release: ")
    assert message in done.stderr
    assert digests(workspace) == before


def test_dry_run_accepts_uncommitted_changes(workspace: Path) -> None:
    (workspace / "one/new.txt").touch()
    before = digests(workspace)

    done = release(workspace, "0.2.0", "--dry-run")

    assert done.returncode == 0, done.stderr
    assert digests(workspace) == before
