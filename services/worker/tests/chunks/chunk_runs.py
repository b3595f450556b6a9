"""Runs ffmpeg with the arguments of a chunk, without the worker."""

import asyncio
import hashlib
import subprocess
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

from gostream_worker.encode.command import _unused_tracks, chunk_arguments
from gostream_worker.plan.chunks import Chunk
from gostream_worker.plan.ladder import make_plan
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.profiles import Profile
from gostream_worker.probe.model import Probe
from gostream_worker.probe.probe import probe_source
from tests.support.profiles import QUICK_PROFILES

QUICK = QUICK_PROFILES["default"]


def probed(source: Path) -> Probe:
    return asyncio.run(probe_source(f"file:{source}", folder=source.parent))


def divided(source: Path, profile: Profile = QUICK) -> Plan:
    return make_plan(probed(source), profile, may_copy=False, may_divide=True)


def run(arguments: Sequence[str], folder: Path, *, under: Sequence[str] = ()) -> str:
    """Runs ffmpeg in the folder, started by the command `under` if any. Returns its log."""
    command = [*under, get_ffmpeg_exe(), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr


def encode(plan: Plan, chunk: Chunk, source: Path, folder: Path, *, under: Sequence[str] = ()) -> str:
    """Encodes a chunk into the folder. Returns the log."""
    for name in plan.renditions:
        (folder / name).mkdir(parents=True, exist_ok=True)
    return run(chunk_arguments(plan, chunk, source=f"file:{source}", folder="."), folder, under=under)


def contents(folder: Path) -> dict[str, str]:
    """Returns the digest of each published file by path."""
    kept = (path for path in folder.rglob("*") if path.suffix in {".ts", ".png", ".jpg"})
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def frames(plan: Plan, chunk: Chunk, source: Path, *, of: str = "v") -> list[tuple[str, int, str]]:
    """Returns rung, number and checksum of each frame that the chunk would encode.

    With `of` = "a", of each frame of sound, whose numbers are times in samples.
    """
    made = chunk_arguments(plan, chunk, source=f"file:{source}", folder=".")
    inputs = made[: max(at for at, word in enumerate(made) if word == "-filter_complex") + 2]
    pads = [value for option, value in pairwise(made) if option == "-map" and value.startswith("[")]
    outputs: list[str] = []
    for pad in pads:
        name = pad.strip("[]")
        shown = ["-f", "framehash", "-hash", "crc32", f"file:{name}.frames"] if name.startswith(of) else []
        outputs += ["-map", pad, "-fps_mode", "passthrough", *(shown or ["-f", "null", "-"])]
    with tempfile.TemporaryDirectory() as folder:
        run([*inputs, *outputs, *_unused_tracks(plan, chunk)], Path(folder))
        return [
            (path.stem, int(columns[2]), columns[-1])
            for path in sorted(Path(folder).glob("*.frames"))
            for line in path.read_text().splitlines()
            if not line.startswith("#") and (columns := [word.strip() for word in line.split(",")])
        ]
