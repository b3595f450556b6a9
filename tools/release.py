"""Builds a release: sets the version, builds a wheel of each member and writes an SBOM.

Refuses to run if the working tree has uncommitted changes, if CHANGELOG.md has no section
`## [VERSION] - YYYY-MM-DD`, if the tag vVERSION exists, or if VERSION is lower than the current one.
Everything is built in a temporary copy of the tree. Without --dry-run the new versions and the built files
are then copied back, so a failed build changes nothing. Commit and tag by hand: RELEASE.md lists the steps.
"""

import argparse
import datetime
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from tools import sbom

ROOT = Path(__file__).resolve().parent.parent
SBOM = "sbom.cdx.json"
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
PROJECT_VERSION = re.compile(r'^(\[project\]\n(?:(?!\[).*\n)*?version = ")[^"]*(")', re.MULTILINE)
MODULE_VERSION = re.compile(r'^(__version__(?:: \w+)? = ")[^"]*(")', re.MULTILINE)


class ReleaseError(Exception):
    """The release cannot be built. The message has the reason and the remedy."""


def parse_version(text: str) -> tuple[int, ...]:
    """Returns the three numbers of a version. Raises ReleaseError if the text has another form."""
    if not VERSION.fullmatch(text):
        raise ReleaseError(f"version {text!r} is not of the form x.y.z")
    return tuple(map(int, text.split(".")))


def run(*command: str | Path, cwd: Path) -> str:
    """Returns the standard output. Raises ReleaseError with the standard error if the command fails."""
    try:
        done = subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)  # noqa: S603 - ours
    except FileNotFoundError as error:
        raise ReleaseError(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise ReleaseError(f"{' '.join(map(str, command))} failed:\n{error.stderr.strip()}") from error
    return done.stdout


def find_uv() -> str:
    """Returns uv from PATH, or from .tools, where the Makefile installs it."""
    return shutil.which("uv") or str(ROOT / ".tools/bin/uv")


def read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ReleaseError(f"cannot read {file}: {error}") from error


def find_members(root: Path) -> list[Path]:
    """Returns the folders of the workspace's members, relative to the root."""
    try:
        patterns = read_toml(root / "pyproject.toml")["tool"]["uv"]["workspace"]["members"]
    except KeyError as error:
        raise ReleaseError("pyproject.toml has no [tool.uv.workspace] members") from error
    members = [match.relative_to(root) for pattern in patterns for match in sorted(root.glob(pattern))]
    if missing := [str(member) for member in members if not (root / member / "pyproject.toml").is_file()]:
        raise ReleaseError(f"members without a pyproject.toml: {', '.join(missing)}")
    if len(members) < len(patterns):
        raise ReleaseError("a member of [tool.uv.workspace] does not exist")
    return members


def find_files(root: Path) -> list[Path]:
    """Returns the files that git does not ignore, relative to the root."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=root)
    return [Path(name) for name in sorted(set(listed.split("\0"))) if name and (root / name).is_file()]


def check_tree(root: Path, version: str, *, dry_run: bool) -> None:
    if run("git", "tag", "--list", f"v{version}", cwd=root).strip():
        raise ReleaseError(f"the tag v{version} exists: choose a higher version")
    changed = run("git", "status", "--porcelain", cwd=root)
    if changed and not dry_run:
        raise ReleaseError(
            f"the working tree has uncommitted changes: commit or stash them\n{changed.rstrip()}"
        )


def check_current(root: Path, members: list[Path], version: str) -> None:
    for member in members:
        project = read_toml(root / member / "pyproject.toml").get("project", {})
        current = str(project.get("version", ""))
        if parse_version(current) > parse_version(version):
            raise ReleaseError(f"{member} has version {current}, which is higher than {version}")


def check_changelog(root: Path, version: str) -> None:
    """Raises ReleaseError if the changelog has no dated section with entries for this version."""
    file = root / "CHANGELOG.md"
    text = file.read_text() if file.is_file() else ""
    section = re.search(
        rf"^## \[{re.escape(version)}\] - (\S+)\s*?\n(.*?)(?=^## |^\[[^\]]+\]: |\Z)",
        text,
        re.MULTILINE | re.DOTALL,
    )
    if section is None:
        raise ReleaseError(f"CHANGELOG.md has no section `## [{version}] - YYYY-MM-DD`: add it")
    try:
        datetime.date.fromisoformat(section[1])
    except ValueError as error:
        raise ReleaseError(f"CHANGELOG.md dates {version} {section[1]!r}, not YYYY-MM-DD") from error
    if not re.search(r"^[-*] \S", section[2], re.MULTILINE):
        raise ReleaseError(f"the section [{version}] of CHANGELOG.md has no entry: add at least one")


def set_versions(tree: Path, members: list[Path], files: list[Path], version: str) -> list[Path]:
    """Sets the version in each pyproject.toml and `__version__`. Returns the changed files."""
    projects = [Path("pyproject.toml"), *(member / "pyproject.toml" for member in members)]
    modules = [f for f in files if f.suffix == ".py" and any(f.is_relative_to(member) for member in members)]
    changed = []
    for file in [*projects, *modules]:
        pattern = PROJECT_VERSION if file in projects else MODULE_VERSION
        old = (tree / file).read_text()
        new, count = pattern.subn(rf"\g<1>{version}\g<2>", old)
        if file in projects and count != 1:
            raise ReleaseError(f"{file} has no `version` in [project]")
        if new != old:
            (tree / file).write_text(new)
            changed.append(file)
    return changed


def build(tree: Path, members: list[Path], version: str, uv: str) -> list[Path]:
    """Builds a wheel of each member and the SBOM into the folder dist of the tree. Returns the files."""
    run(uv, "build", "--wheel", "--all-packages", "--python", sys.executable, "--out-dir", "dist", cwd=tree)
    wheels = sorted((tree / "dist").glob("*.whl"))
    names = [read_toml(tree / member / "pyproject.toml")["project"]["name"] for member in members]
    expected = {f"{name.replace('-', '_')}-{version}-py3-none-any.whl" for name in names}
    if {wheel.name for wheel in wheels} != expected:
        raise ReleaseError(f"built {[wheel.name for wheel in wheels]}, expected {sorted(expected)}")
    document = tree / "dist" / SBOM
    document.write_text(sbom.document(version, wheels, tree / "requirements.lock"))
    return [*wheels, document]


def deliver(built: list[Path], out: Path) -> None:
    """Copies the built files and removes the wheels of earlier builds: an upload takes the whole folder."""
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("gostream_*.whl"):
        old.unlink()
    for file in built:
        shutil.copy(file, out)


def release(arguments: argparse.Namespace) -> None:
    root, version = arguments.root.resolve(), arguments.version
    parse_version(version)
    check_tree(root, version, dry_run=arguments.dry_run)
    members = find_members(root)
    check_current(root, members, version)
    check_changelog(root, version)
    files = find_files(root)
    with tempfile.TemporaryDirectory(prefix="gostream-release-") as folder:
        tree = Path(folder).resolve()
        for file in files:
            (tree / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / file, tree / file)
        changed = set_versions(tree, members, files, version)
        built = build(tree, members, version, arguments.uv)
        for file in changed:
            print(f"version {version}: {file}")
        for file in built:
            print(f"built {file.name}, {file.stat().st_size:,} bytes")
        if not arguments.dry_run:
            for file in changed:
                shutil.copy(tree / file, root / file)
        if arguments.out_dir or not arguments.dry_run:
            deliver(built, arguments.out_dir or root / "dist")
    print("Dry run: the working tree is unchanged." if arguments.dry_run else "Next: RELEASE.md, step 4.")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.release",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("version", help="the version to release, x.y.z")
    parser.add_argument(
        "--dry-run", action="store_true", help="check and build, but leave the tree unchanged"
    )
    parser.add_argument(
        "--out-dir", type=Path, help="folder for the wheels and the SBOM (default: dist; dry run: none)"
    )
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="the repository to release (default: this one)"
    )
    parser.add_argument("--uv", default=find_uv(), help="the uv command (default: %(default)s)")
    try:
        release(parser.parse_args())
    except ReleaseError as error:
        sys.exit(f"release: {error}")


if __name__ == "__main__":
    main()
