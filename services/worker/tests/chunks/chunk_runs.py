"""Runs ffmpeg with the arguments of a chunk, without the worker."""

import asyncio
import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

from gostream_worker.encode.command import chunk_arguments
from gostream_worker.plan.chunks import Chunk
from gostream_worker.plan.ladder import make_plan
from gostream_worker.plan.plan import Plan
from gostream_worker.probe.model import Probe
from gostream_worker.probe.probe import probe_source
from tests.support.profiles import QUICK_PROFILES

QUICK = QUICK_PROFILES["default"]


def probed(source: Path) -> Probe:
    return asyncio.run(probe_source(f"file:{source}", folder=source.parent))


def divided(source: Path) -> Plan:
    return make_plan(probed(source), QUICK, may_copy=False, may_divide=True)


def run(arguments: Sequence[str], folder: Path, *, under: Sequence[str] = ()) -> str:
    """Runs ffmpeg in the folder, started by the command `under` if any. Returns what it said."""
    command = [*under, get_ffmpeg_exe(), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr


def encode(plan: Plan, chunk: Chunk, source: Path, folder: Path, *, under: Sequence[str] = ()) -> str:
    """Encodes a chunk into the folder. Returns what ffmpeg said."""
    for name in plan.renditions:
        (folder / name).mkdir(parents=True, exist_ok=True)
    return run(chunk_arguments(plan, chunk, source=f"file:{source}", folder="."), folder, under=under)


def contents(folder: Path) -> dict[str, str]:
    """Returns the digest of each published file by path."""
    kept = (path for path in folder.rglob("*") if path.suffix in {".ts", ".png", ".jpg"})
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}
