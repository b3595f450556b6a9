"""The CPU time of one more language, and of the preview, next to the encode that they belong to.

The same film is encoded with one and with two languages, A B A B. The preview is made after each encode from
its segments. Prints user CPU seconds of the encoder's processes.
"""

import argparse
import asyncio
import shlex
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

from gostream_worker.encode.command import TIME_OFFSET
from gostream_worker.media_units import CLOCK
from gostream_worker.plan.ladder import make_plan
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.profiles import DEFAULT_PROFILE
from gostream_worker.preview.planning import parts_of, preview_arguments, rung_of
from gostream_worker.probe.probe import probe_source
from gostream_worker.publish.measure import measure

from .ffmpeg_runs import Runs, bare_command
from .media import circumstances, ffmpeg, make_source, table


def _with_two_languages(folder: Path, seconds: int, height: int) -> Path:
    """The source of the other benchmarks with its sound twice, in Opus, so that neither is copied."""
    one, path = make_source(folder, seconds, height=height, fit=False), folder / "two.mkv"
    maps = ["-map", "0:v", "-map", "0:a", "-map", "0:a", "-c:v", "copy", "-c:a", "libopus"]
    ffmpeg("-v", "error", "-i", str(one), *maps, str(path))
    return path


async def _encode(plan: Plan, source: Path, folder: Path) -> float:
    encode = Runs(bare_command(source, folder, plan), folder)
    await encode.run()
    return encode.user


async def _preview(plan: Plan, folder: Path) -> float:
    rung = rung_of(plan).name
    starts = await asyncio.to_thread(_starts, folder / rung)
    parts = [(f"{rung}/{part.segment}", part.begins) for part in parts_of(starts, plan.duration)]
    run = Runs([preview_arguments(plan, parts)], folder)
    await run.run()
    return run.user


def _starts(folder: Path) -> dict[str, float]:
    paths = sorted(folder.glob("*.ts"))
    return {path.name: measure(path.read_bytes()).first_pts / CLOCK - TIME_OFFSET for path in paths}


async def compare(source: Path, rounds: int) -> list[list[object]]:
    """Returns a row for each: what, CPU seconds, share of the encode with one language, single rounds."""
    both = make_plan(await probe_source(f"file:{source}", folder=source.parent), DEFAULT_PROFILE)
    plans = {1: replace(both, sounds=both.sounds[:1]), 2: both}
    taken: dict[int, list[float]] = {1: [], 2: []}
    previews = []
    for _ in range(rounds):
        for languages, plan in plans.items():
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                taken[languages].append(await _encode(plan, source, folder))
                previews.append(await _preview(plan, folder))
            sys.stderr.write(f"{languages}: {taken[languages][-1]:.2f} s, preview {previews[-1]:.2f} s\n")
    base = median(taken[1])
    more = [b - a for a, b in zip(taken[1], taken[2], strict=True)]
    return [
        ["encode, one language", f"{base:.2f}", "", _range(taken[1])],
        ["one more language", f"{median(more):.2f}", f"{100 * median(more) / base:.1f} %", _range(more)],
        ["preview", f"{median(previews):.2f}", f"{100 * median(previews) / base:.1f} %", _range(previews)],
    ]


def _range(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encode.extras", description=__doc__)
    parser.add_argument("--seconds", type=int, default=40, help="length of the source")
    parser.add_argument("--height", type=int, default=720, help="height of the source")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        source = _with_two_languages(Path(name), options.seconds, options.height)
        rows = asyncio.run(compare(source, options.rounds))
    command = shlex.join(["python", "-m", "benchmarks.encode.extras", *sys.argv[1:]])
    header = ["", "user CPU s", "share", "single rounds"]
    sys.stdout.write(f"{table(header, rows)}\n\n{circumstances(command)}\n")


if __name__ == "__main__":
    main()
