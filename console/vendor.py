"""Fetches the libraries of the console by `npm pack` and checks them against vendor.json.

`python console/vendor.py` replaces console/site/vendor; `--check` compares it with the hashes and needs no
network. For a new version, change `package` and run it with `--update`, which writes the hashes of what the
registry sends.
"""

import argparse
import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LOCK = HERE / "vendor.json"
TARGET = HERE / "site/vendor"
_PATIENCE = 120


def integrity(content: bytes) -> str:
    """Returns the hash of a file as npm writes it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


def differences(lock: dict[str, Any], target: Path = TARGET) -> list[str]:
    """Returns what differs between the lock and the files below `target`, one sentence each."""
    expected = {
        entry["to"]: entry["integrity"] for library in lock["libraries"] for entry in library["files"]
    }
    present = {path.name: integrity(path.read_bytes()) for path in sorted(target.glob("*"))}
    missing = [f"{name} is missing" for name in expected.keys() - present.keys()]
    unknown = [f"{name} is in no library" for name in present.keys() - expected.keys()]
    other = [
        f"{name} has other bytes"
        for name in expected.keys() & present.keys()
        if expected[name] != present[name]
    ]
    return sorted(missing + unknown + other)


def fetch(library: dict[str, Any], *, update: bool) -> dict[str, bytes]:
    """Returns the wanted files of a library by their names here. Raises SystemExit if a hash differs."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", library["package"], "--pack-destination", folder]
        subprocess.run(command, check=True, timeout=_PATIENCE, cwd=folder)  # noqa: S603
        [archive] = Path(folder).glob("*.tgz")
        _compare(library, archive.read_bytes(), library["package"], update=update)
        files = {}
        with tarfile.open(archive) as opened:
            for entry in library["files"]:
                member = opened.extractfile(f"package/{entry['from']}")
                if member is None:
                    raise SystemExit(f"{library['package']} has no file {entry['from']}")
                files[entry["to"]] = member.read()
                _compare(entry, files[entry["to"]], entry["to"], update=update)
    return files


def _compare(entry: dict[str, Any], content: bytes, name: str, *, update: bool) -> None:
    if update:
        entry["integrity"] = integrity(content)
    elif entry["integrity"] != integrity(content):
        raise SystemExit(f"{name} has another hash than vendor.json")


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--check", action="store_true", help="compare the files with vendor.json, and fetch nothing"
    )
    parser.add_argument("--update", action="store_true", help="write the hashes of what the registry sends")
    options = parser.parse_args()
    lock = json.loads(LOCK.read_text())
    if options.check:
        sys.exit("\n".join(differences(lock)) or 0)
    files: dict[str, bytes] = {}
    for library in lock["libraries"]:
        files |= fetch(library, update=options.update)
    for old in TARGET.glob("*"):
        old.unlink()
    TARGET.mkdir(exist_ok=True)
    for name, content in files.items():
        (TARGET / name).write_bytes(content)
    LOCK.write_text(json.dumps(lock, indent=2) + "\n")


if __name__ == "__main__":
    main()
