"""The previous release: its files from git, its own virtual environment, its services."""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from gostream_devstack.servers.api import Api
from gostream_devstack.servers.worker import Worker

ROOT = Path(__file__).resolve().parents[2]
#: The commit of the previous release. RELEASE.md says when it changes.
PREVIOUS = "462fc21813a1c26659086e61588e5f8d431faeec"


def programs() -> Path:
    """Returns the folder of the previous release's programs, installed once below .tools.

    Skips the test if git has no such commit. Raises CalledProcessError if the release cannot be installed.
    """
    known = subprocess.run(
        ["git", "cat-file", "-e", f"{PREVIOUS}^{{commit}}"], cwd=ROOT, capture_output=True, check=False
    )
    if known.returncode != 0:
        pytest.skip(f"git has no commit {PREVIOUS}: a shallow clone, or no clone")
    tree = ROOT / ".tools/releases" / PREVIOUS
    tree.mkdir(parents=True, exist_ok=True)
    with (tree / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of pytest may be installing it
        if not (tree / ".venv/.synced").exists():
            _install(tree)
    return tree / ".venv/bin"


def _install(tree: Path) -> None:
    archive = subprocess.run(
        ["git", "archive", PREVIOUS], cwd=ROOT, check=True, capture_output=True, timeout=60
    )
    subprocess.run(["tar", "-x", "-C", str(tree)], input=archive.stdout, check=True, timeout=60)
    own = ROOT / ".tools/bin/uv"
    uv = str(own) if own.exists() else shutil.which("uv")
    command = ["make", "sync", f"PYTHON={sys.executable}", *([f"UV={uv}"] if uv else [])]
    subprocess.run(command, cwd=tree, check=True, timeout=500)


class PreviousApi(Api):
    """An API replica of the previous release."""

    def command(self) -> Sequence[str]:
        return [str(programs() / "gostream-api")]


class PreviousWorker(Worker):
    """A worker of the previous release."""

    def command(self) -> Sequence[str]:
        return [str(programs() / "gostream-worker")]
